// Plots as SVG, drawn by hand: lines over one pair of axes. They carry their own light background, so that they can be
// read wherever a page shows them.

export interface Line {
  name: string
  points: ReadonlyArray<readonly [x: number, y: number]>
  dashed?: boolean
}

export interface Plot {
  title: string
  x: { label: string; log?: boolean; ticks: ReadonlyArray<number>; format?: (tick: number) => string }
  y: { label: string; log?: boolean; ticks: ReadonlyArray<number>; format?: (tick: number) => string }
  lines: ReadonlyArray<Line>
  /** A horizontal line: what was promised. */
  mark?: { at: number; name: string }
}

const WIDTH = 760
const HEIGHT = 320
const LEFT = 64
const RIGHT = 16
const TOP = 56
const BOTTOM = 46
/** Okabe and Ito's, told apart by those who see colours otherwise, too. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9']
const INK = '#24292f'

export function svgOf({ title, x, y, lines, mark }: Plot): string {
  const across = scale(x.ticks, x.log === true, LEFT, WIDTH - RIGHT)
  const up = scale(y.ticks, y.log === true, HEIGHT - BOTTOM, TOP)
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="12" fill="${INK}" role="img" aria-label="${escaped(title)}">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    `<text x="${LEFT}" y="20" font-size="14" font-weight="600">${escaped(title)}</text>`,
  ]
  for (const tick of y.ticks) {
    const at = rounded(up(tick))
    parts.push(
      `<path d="M${LEFT} ${at}H${WIDTH - RIGHT}" stroke="#d8dee4"/>`,
      `<text x="${LEFT - 8}" y="${at + 4}" text-anchor="end">${escaped((y.format ?? String)(tick))}</text>`,
    )
  }
  for (const tick of x.ticks) {
    const at = rounded(across(tick))
    parts.push(
      `<path d="M${at} ${HEIGHT - BOTTOM}v5" stroke="${INK}"/>`,
      `<text x="${at}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${escaped((x.format ?? String)(tick))}</text>`,
    )
  }
  parts.push(
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 8}" text-anchor="middle">${escaped(x.label)}</text>`,
    `<text transform="translate(14 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${escaped(y.label)}</text>`,
  )
  if (mark !== undefined) {
    const at = rounded(up(mark.at))
    parts.push(
      `<path d="M${LEFT} ${at}H${WIDTH - RIGHT}" stroke="${INK}" stroke-dasharray="2 3"/>`,
      `<text x="${WIDTH - RIGHT}" y="${at - 5}" text-anchor="end">${escaped(mark.name)}</text>`,
    )
  }
  let legendAt = LEFT
  for (const [i, { name, points, dashed }] of lines.entries()) {
    const colour = COLOURS[i % COLOURS.length]
    const dashes = dashed === true ? ' stroke-dasharray="6 4"' : ''
    const places = points.map(([px, py]) => `${rounded(across(px))} ${rounded(up(py))}`)
    parts.push(
      `<path d="M${places.join('L')}" fill="none" stroke="${colour}" stroke-width="1.5" stroke-linejoin="round"${dashes}/>`,
      `<path d="M${legendAt} 38h18" stroke="${colour}" stroke-width="3"${dashes}/>`,
      `<text x="${legendAt + 24}" y="42">${escaped(name)}</text>`,
    )
    legendAt += 44 + name.length * 6.6
  }
  return `${parts.join('\n')}\n</svg>\n`
}

/** From values to places; what lies outside is drawn at the edge. */
function scale(
  ticks: ReadonlyArray<number>,
  log: boolean,
  from: number,
  to: number,
): (value: number) => number {
  const on = (value: number) => (log ? Math.log(Math.max(value, Number.MIN_VALUE)) : value)
  const [least, most] = [on(Math.min(...ticks)), on(Math.max(...ticks))]
  return (value) => {
    const part = (on(value) - least) / (most - least)
    return from + (to - from) * Math.min(1, Math.max(0, part))
  }
}

const rounded = (value: number): number => Math.round(value * 10) / 10

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
