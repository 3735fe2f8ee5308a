// The tenant's accent colour, kept readable: as near to what they chose as still has the contrast that text needs
// (WCAG 2.2, 1.4.3) on the page's background, for the light and for the dark page.

/** Of text, and of white on a button. */
const CONTRAST = 4.5
const STEPS = 40

type Rgb = readonly [red: number, green: number, blue: number]

/** Grounds that text stands on (console.css): what is readable there is so on all others, and below a button's text. */
const DARKEST_OF_LIGHT: Rgb = [0xe9, 0xec, 0xf1]
const LIGHTEST_OF_DARK: Rgb = [0x2a, 0x2e, 0x37]

export interface Accent {
  /** As text, and below white text. */
  onLight: string
  /** As text, and below black text. */
  onDark: string
}

export function readableAccent(color: string): Accent | undefined {
  const rgb = read(color)
  if (rgb === undefined) return undefined
  return {
    onLight: write(until(rgb, [0, 0, 0], DARKEST_OF_LIGHT)),
    onDark: write(until(rgb, [255, 255, 255], LIGHTEST_OF_DARK)),
  }
}

/** Mixes towards `end` until it stands out from `ground`. */
function until(color: Rgb, end: Rgb, ground: Rgb): Rgb {
  for (let step = 0; step <= STEPS; step++) {
    const mixed = mix(color, end, step / STEPS)
    if (contrast(mixed, ground) >= CONTRAST) return mixed
  }
  return end
}

const mix = (a: Rgb, b: Rgb, share: number): Rgb => [
  Math.round(a[0] + (b[0] - a[0]) * share),
  Math.round(a[1] + (b[1] - a[1]) * share),
  Math.round(a[2] + (b[2] - a[2]) * share),
]

/** WCAG 2.2, "contrast ratio". */
export function contrast(a: Rgb, b: Rgb): number {
  const [light, dark] = [luminance(a), luminance(b)].toSorted((x, y) => y - x) as [number, number]
  return (light + 0.05) / (dark + 0.05)
}

function luminance(color: Rgb): number {
  const [red, green, blue] = color.map((channel) => {
    const share = channel / 255
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  }) as [number, number, number]
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

export function read(color: string): Rgb | undefined {
  const [, red, green, blue] = /^#([\da-f]{2})([\da-f]{2})([\da-f]{2})$/i.exec(color) ?? []
  if (red === undefined || green === undefined || blue === undefined) return undefined
  return [Number.parseInt(red, 16), Number.parseInt(green, 16), Number.parseInt(blue, 16)]
}

const write = (color: Rgb): string =>
  `#${color.map((channel) => channel.toString(16).padStart(2, '0')).join('')}`
