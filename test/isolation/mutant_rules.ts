// What can be taken from the fence, or bent. Each rule makes one mutant of every place that it matches, so a
// new guard in the old form is covered without a new rule.

export interface Rule {
  name: string
  find: RegExp
  replace: string
}

const rule = (name: string, find: RegExp, replace: string): Rule => ({ name, find, replace })

const OVER = rule('> becomes >=', / > /g, ' >= ')
const BOTH = rule('&& becomes ||', / && /g, ' || ')

const GUARDS = rule('guard removed', /if \((?!false)(.+)\) throw /g, 'if (false && ($1)) throw ')

const RULES: Readonly<Record<string, Rule[]>> = {
  grant: [
    OVER,
    BOTH,
    GUARDS,
    rule('<= becomes <', / <= /g, ' < '),
    // Not `i < length`: a byte further there is nothing to compare. Nor a stamp that is the whole key: no
    // range holds all that it may become.
    rule('< becomes <=', /(?<=[\w)\]]) < (?!length;|STAMP_BYTES)/g, ' <= '),
    rule('>= becomes >', / >= /g, ' > '),
    rule('|| becomes &&', / \|\| /g, ' && '),
    rule('malformed stamps accepted', /if \((.+)\) return undefined/g, 'if (false) return undefined'),
    rule('left side dropped', /return (compare\(.+?\) <=? 0) && /g, 'return '),
    rule('right side dropped', / && (compare\(.+?\) <=? 0|holdsBound\(range, end\))/g, ''),
    rule('left bound not asked', /return holdsBound\(range, begin\) && /g, 'return '),
    rule('no write-only ranges', / \|\| grant\.writeOnly\.some\(holds\)/g, ''),
    rule('anything writable', / \|\| grant\.writeOnly\.some\(holds\)/g, ' || true'),
    rule('lone surrogates accepted', /key\.isWellFormed\(\)/g, 'true'),
    rule('texts as latin1', /'utf8'/g, "'latin1'"),
    rule('key not copied', /\? passing\(key\) : undefined/g, '? (key as Buffer) : undefined'),
    rule('any object a key', /isBytes\(key\)/g, 'true'),
    rule('what looks like bytes a key', /isBytes\(key\)/g, 'key instanceof Uint8Array'),
    rule('bounds beside prefixes', /keptBounds = slabs\(\)/g, 'keptBounds = kept'),
    rule('keys beside prefixes', /passing = slabs\(\)/g, 'passing = kept'),
    rule('valueOf followed', /\? passing\(key\) : undefined/g, '? Buffer.from(key) : undefined'),
    rule('range not copied', /passing\((range\.\w+)\)/g, '$1'),
    rule('range not checked', /\.map\(ownRange\)/g, ''),
    rule('kept range not checked', /(?<== )checked\(range\)/g, 'range'),
    rule('kept range not copied', /keptCopies\.set\(.+\)/g, 'keptCopies.set(lasting, lasting)'),
    rule('range not checked', /readWrite && ownRange\(readWrite\)/g, 'readWrite'),
    rule('range end not raised', /end\.readUInt8\(last\) \+ 1/g, 'end.readUInt8(last)'),
    rule('range end not cut', /last \+ 1/g, 'end.length'),
    rule('lent by default', /lent = false/g, 'lent = true'),
    rule('lowest stamp not lowest', /fill\(0x00/g, 'fill(0x80'),
    rule('highest stamp not highest', /fill\(0xff/g, 'fill(0x80'),
    rule('stamp place signed', /readUInt32LE/g, 'readInt32LE'),
    rule('stamp place big-endian', /readUInt32LE/g, 'readUInt32BE'),
    rule('stamp a byte shorter', /const STAMP_BYTES = 10/g, 'const STAMP_BYTES = 9'),
    rule('place left in the key', /key\.subarray\(0, length\)/g, 'key'),
    rule('compares the first byte only', /return a\.length - b\.length/g, 'return 0'),
    rule('next key is the same key', /Buffer\.alloc\(key\.length \+ 1\)/g, 'Buffer.alloc(key.length)'),
  ],
  fence_selector: [
    OVER,
    rule('offsets not checked', /if \((.+)\) return false/g, 'if (false) return false'),
    rule('one check of the offset only', /!Number\.isInteger\(offset\) \|\| /g, ''),
    rule('one check of the offset only', / \|\| Math\.abs\(offset\) > MAX_OFFSET/g, ''),
    rule('a key on the border, or equal', /orEqual \? holdsKey\(range, key\) : /g, ''),
    rule('only keys before the border', / : holdsBound\(range, key\)/g, ' : holdsKey(range, key)'),
    rule('forward past the border', /\? range\.end : from/g, '? Buffer.from([0xff]) : from'),
    rule('backward past the border', /: range\.begin$/gm, ': Buffer.alloc(0)'),
    rule('forward clamped elsewhere', /\? range\.end : range\.begin/g, '? Buffer.from([0xff]) : range.begin'),
    rule('backward clamped elsewhere', /\? range\.end : range\.begin/g, '? range.end : Buffer.alloc(0)'),
    rule('or equal forgotten', /selector\.orEqual \? keyAfter\(selector\.key\) : /g, ''),
    rule('one too many back', /1 - selector\.offset/g, '2 - selector.offset'),
    rule('pages unbounded', /Math\.min\(left, PAGE_ROWS\)/g, 'left'),
    rule('always forward', /, !forward\)/g, ', false)'),
    rule('stops after a page', /if \(!more \|\| last === undefined\)/g, 'if (true)'),
    rule('ends on no more only', / \|\| last === undefined/g, ' || false'),
    rule('ends on empty pages only', /!more \|\| /g, ''),
    rule('page not counted', /left -= results\.length/g, 'left -= 0'),
    rule('goes on from the same key', /begin = keyAfter\(last\[0\]\)/g, 'begin = last[0]'),
    rule('goes on from the same end', /end = last\[0\]/g, 'end = keyAfter(last[0])'),
  ],
  fence_options: [
    rule('any option', /ALLOWED_OPTIONS\.has\(code\)/g, 'true'),
    rule('any operation', /ALLOWED_OPERATIONS\.has\(code\)/g, 'true'),
    rule('one entry fewer', /^ {2}\[(\d+|SET_VERSIONSTAMPED_KEY), .+\],\n/gm, ''),
    ...[10, 21, 23, 40, 50, 110, 120, 130, 200, 300, 301, 302, 303, 400, 401, 402, 404, 405, 406, 504, 505]
      .concat([700, 701, 702, 710, 711, 712, 713, 714, 900, 1000, 1100, 2000])
      .map((code) => rule(`option ${code} let in`, /ALLOWED_OPTIONS = new Map\(\[/g, `$&[${code}, ''],`)),
    ...[0, 1, 3, 4, 5, 10, 11, 18, 19, 21].map((code) =>
      rule(`operation ${code} let in`, /\n {2}\[2, 'add'\],/g, `$&[${code}, ''],`),
    ),
    rule('another operation has stamped keys', /KEY = 14/g, 'KEY = 15'),
  ],
  fence_gate: [
    GUARDS,
    rule('told every time', /if \(this\.#violation !== undefined\) return this\.#violation/g, ''),
    rule('the last violation counts', /\?\?= violation/g, '= violation'),
    rule('violation forgotten', /this\.#violation \?\?= violation/g, ''),
    rule('not cancelled', /this\.#native\.cancel\(\)/g, '{}'),
    rule('not ended below', /this\.#below\.#shut\(violation\)/g, 'this.#native.cancel()'),
    rule('nobody told', /this\.#onViolation\(violation\)/g, ''),
    rule(
      'told before it is shut',
      /this\.#shut\(violation\)\n\s+this\.#onViolation\(violation\)/g,
      'this.#onViolation(violation)\n    this.#shut(violation)',
    ),
    rule('method not said', /super\(`\$\{method\}/g, 'super(`call'),
    rule('one stamp bound only', /holdsKey\(range, lowest\) && /g, ''),
    rule('one stamp bound only', / && holdsKey\(range, highest\)/g, ''),
    rule(
      'both ends in some range',
      /\(range\) => holdsRange\(range, from, to\)/g,
      '(range) => holdsRange(range, from, from)',
    ),
    rule(
      'one end not asked',
      /holdsRange\(this\.readable\(method\), from, to\)/g,
      'holdsRange(this.readable(method), from, from)',
    ),
    rule(
      'one end not asked',
      /holdsRange\(this\.readable\(method\), from, to\)/g,
      'holdsRange(this.readable(method), to, to)',
    ),
    rule(
      'border among the rows',
      /for \(const \[key\] of list\.results\) \{\n\s+if \(!holdsKey/g,
      'for (const [key] of list.results) {\n      if (!holdsBound',
    ),
    rule(
      'border not among the split points',
      /if \(!holdsBound\(range, bound\)/g,
      'if (!holdsKey(range, bound)',
    ),
  ],
  fence: [
    GUARDS,
    rule(
      'key not checked',
      /this\.#gate\.(?:readableKey|writableKey|stampedKey)\('\w+', key\)/g,
      'key as Buffer',
    ),
    rule(
      'range not checked',
      /\.\.\.this\.#gate\.(?:readableRange|writableRange)\((?:'\w+'|method), start, end\)/g,
      'start, end',
    ),
    rule(
      'range not checked',
      /this\.#gate\.readableRange\(method, start, end\)/g,
      '[start as Buffer, end as Buffer] as const',
    ),
    rule(
      'selector not checked',
      /this\.#gate\.selector\('\w+', (\w+), (\w+), (\w+)\)/g,
      '{ key: Buffer.from($1 as Buffer), orEqual: $2, offset: $3 }',
    ),
    rule('rows not checked', /this\.#gate\.(?:rows|bounds)\(/g, '((_method: string, rows: never) => rows)('),
    rule('the owner not asked', /this\.#gate\.owned\('\w+'\)/g, 'this.#gate.live'),
    rule('what may be written may be read', /readable(Key|Range)\(/g, 'writable$1('),
    rule('what may be read may be written', /writable(Key|Range)\(/g, 'readable$1('),
    rule(
      'a stamped key is a plain one',
      /stamped \? this\.#gate\.stampedKey/g,
      'stamped ? this.#gate.writableKey',
    ),
    rule(
      'a plain key is a stamped one',
      /: this\.#gate\.writableKey\('atomicOp'/g,
      ": this.#gate.stampedKey('atomicOp'",
    ),
    rule('selectors left to the engine', /first\.offset === 1 && last\.offset === 1/g, 'true'),
    rule('selectors left to the engine', /first\.offset === 1 && last\.offset === 1/g, 'first.offset === 1'),
    rule('selectors left to the engine', /first\.offset === 1 && last\.offset === 1/g, 'last.offset === 1'),
    rule('selectors always resolved', /first\.offset === 1 && last\.offset === 1/g, 'false'),
    rule('the border as a key found', /found \?\? Buffer\.alloc\(0\)/g, 'found ?? range.end'),
    rule(
      'read version let through',
      /throw this\.#gate\.refuse\('setReadVersion'\)/g,
      'this.#gate.live.setReadVersion(_version)',
    ),
    rule(
      'addresses let through',
      /throw this\.#gate\.refuse\('getAddressesForKey'\)/g,
      'return this.#gate.live.getAddressesForKey(_key)',
    ),
    rule('a fence below not noticed', /#gate in native \? native\.#gate : undefined/g, 'undefined'),
    rule('grant not copied', /ownGrant\(grant\)/g, 'grant as OwnGrant'),
    rule(
      'not a snapshot',
      /limit, 0, STREAMING_MODE_SERIAL, 1, isSnapshot, reverse/g,
      'limit, 0, STREAMING_MODE_SERIAL, 1, false, reverse',
    ),
    rule(
      'not in reverse',
      /limit, 0, STREAMING_MODE_SERIAL, 1, isSnapshot, reverse/g,
      'limit, 0, STREAMING_MODE_SERIAL, 1, isSnapshot, false',
    ),
    rule(
      'thrown, not answered',
      /try \{\n\s+return start\(\)\n\s+\} catch \(error\) \{\n\s+return Promise\.reject\(error\)\n\s+\}/g,
      'return start()',
    ),
    rule('no callback', /cb\(error\)/g, 'undefined'),
  ],
}

export function rulesFor(source: string): Rule[] {
  return RULES[source] ?? []
}
