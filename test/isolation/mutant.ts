// What mutants.ts tries: the fence's sources, each with one check taken from it or bent.
import { readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'
import { rulesFor } from './mutant_rules.ts'

export const SOURCES = ['grant', 'fence_selector', 'fence_options', 'fence_gate', 'fence']
export const ROOT = join(import.meta.dirname, '../..')

export interface Mutant {
  name: string
  of: string
  source: string
}

/**
 * Every way of applying a rule once: one mutant a match.
 * @throws {Error} for a rule that matches nothing, changes nothing, or makes what does not parse
 */
export function mutantsOf(source: string): Mutant[] {
  const of = join(ROOT, 'regional/storage', `${source}.ts`)
  const text = readFileSync(of, 'utf8')
  return rulesFor(source).flatMap(({ name, find, replace }) => {
    const matches = [...text.matchAll(find)].filter((match) => !inComment(text, match.index))
    // A rule without a match guards nothing any more: whoever changed the source must change the rule.
    if (matches.length === 0) throw new Error(`${source}.ts has nothing like ${find} (${name})`)
    return matches.map((match) => {
      const here = new RegExp(find.source, `${find.flags.replace('g', '')}y`)
      here.lastIndex = match.index
      const mutated = text.replace(here, replace)
      const line = text.slice(0, match.index).split('\n').length
      if (mutated === text) throw new Error(`${name} changes nothing at ${source}.ts:${line}`)
      stripTypeScriptTypes(mutated) // A mutant that does not parse would be killed by anything.
      return { name: `${source}.ts:${line} ${name}`, of, source: mutated }
    })
  })
}

function inComment(text: string, at: number): boolean {
  return /^\s*(\/\/|\/?\*)/.test(text.slice(text.lastIndexOf('\n', at) + 1))
}
