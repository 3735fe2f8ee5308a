// A real browser for tests: the Chromium that lies in an npm package, with its own protections left on, and a watch over
// what every page asks for and complains of.
import { AxeBuilder } from '@axe-core/playwright'
import chromiumPackage from '@sparticuz/chromium'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { expect } from 'vitest'

/** Three of the package's own arguments switch off what these tests are about, or crash a second context. */
const UNWANTED = /^--(?:disable-web-security|single-process|no-zygote)$/

export async function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: await chromiumPackage.executablePath(),
    args: chromiumPackage.args.filter((argument) => !UNWANTED.test(argument)),
  })
}

export interface Watched {
  context: BrowserContext
  page: Page
  /** What pages have complained of, and what they asked of another host. */
  complaints: string[]
}

/** One person's browser: cookies of its own. */
export async function newPerson(
  browser: Browser,
  edge: string,
  options: Parameters<Browser['newContext']>[0] = {},
): Promise<Watched> {
  const context = await browser.newContext({ baseURL: edge, reducedMotion: 'reduce', ...options })
  const complaints: string[] = []
  context.on('request', (request) => {
    const url = request.url()
    if (!url.startsWith(`${edge}/`) && !url.startsWith('data:')) complaints.push(`asked for ${url}`)
  })
  context.on('console', (message) => {
    // A page that says that something went wrong has its status; Chromium says so here, too.
    const expected = /^Failed to load resource: the server responded with a status of 4\d\d/
    if (['error', 'warning'].includes(message.type()) && !expected.test(message.text())) {
      complaints.push(`${message.type()}: ${message.text()}`)
    }
  })
  context.on('weberror', (error) => complaints.push(`threw ${error.error().message}`))
  const page = await context.newPage()
  page.setDefaultTimeout(15_000)
  return { context, page, complaints }
}

const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']

/** WCAG 2.2 AA, as far as a program can tell; and its colours in the other theme as well, unless that is seen to elsewhere. */
export async function accessible(page: Page, { themes = 2 }: { themes?: 1 | 2 } = {}): Promise<void> {
  const found = await violationsOf(new AxeBuilder({ page }).withTags(TAGS))
  if (themes === 2) {
    const isDark = await page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    await page.emulateMedia({ colorScheme: isDark ? 'light' : 'dark' })
    found.push(...(await violationsOf(new AxeBuilder({ page }).withRules(['color-contrast']))))
    await page.emulateMedia({ colorScheme: isDark ? 'dark' : 'light' })
  }
  expect(found.map((each) => `${page.url()}: ${each}`)).toEqual([])
}

async function violationsOf(axe: AxeBuilder): Promise<string[]> {
  // In the page itself: there are no frames, for whose sake it would open another page each time.
  const { violations } = await axe.setLegacyMode().analyze()
  return violations.map(({ id, nodes }) => `${id} ${nodes.map(({ html }) => html).join(' | ')}`)
}
