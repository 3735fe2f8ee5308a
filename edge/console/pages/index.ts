// Every page of the console, in the order of its menu. To add one: a file here, and a line below.
import { overview } from './overview.tsx'
import type { ConsolePage } from './page.ts'

export const PAGES: ReadonlyArray<ConsolePage> = [overview]
