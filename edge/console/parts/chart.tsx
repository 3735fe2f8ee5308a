// A chart as SVG from the server, with its table beside it: the same numbers for whoever does not see the picture.
import { Table } from './list.tsx'

export interface ChartProps {
  title: string
  /** Names of what each bar is made of, from the ground up. */
  series: ReadonlyArray<string>
  bars: ReadonlyArray<{ label: string; values: ReadonlyArray<number> }>
}

const WIDTH = 720
const HEIGHT = 180
const LEFT = 64
const BOTTOM = 28

export function Chart({ title, series, bars }: ChartProps) {
  const totals = bars.map(({ values }) => values.reduce((sum, value) => sum + value, 0))
  const top = niceTop(Math.max(1, ...totals))
  const step = (WIDTH - LEFT) / Math.max(1, bars.length)
  const y = (value: number) => tenths((HEIGHT - BOTTOM) * (1 - value / top) + 4)
  const everyNth = Math.ceil(bars.length / 8)
  return (
    <figure>
      <svg
        class="chart"
        viewBox={`0 -12 ${WIDTH} ${HEIGHT + 20}`}
        role="img"
        aria-label={`${title}: see the table below`}
      >
        {[0, top / 2, top].map((value) => (
          <>
            <line class="axis" x1={LEFT} x2={WIDTH} y1={y(value)} y2={y(value)} />
            <text x={LEFT - 8} y={y(value) + 5} text-anchor="end">
              {short(value)}
            </text>
          </>
        ))}
        {bars.map(({ label, values }, at) => {
          const x = LEFT + at * step
          let below = 0
          return (
            <>
              {values.map((value, which) => {
                const from = below
                below += value
                return value === 0 ? null : (
                  <rect
                    class={which === 0 ? 'bar' : 'bar second'}
                    x={tenths(x + step * 0.15)}
                    width={tenths(step * 0.7)}
                    y={y(below)}
                    height={tenths(Math.max(0, y(from) - y(below)))}
                  >
                    <title>{`${label}: ${value} ${series[which]?.toLowerCase()}`}</title>
                  </rect>
                )
              })}
              {at % everyNth === 0 && (
                <text
                  class={at % (2 * everyNth) === 0 ? '' : 'minor'}
                  x={tenths(x + step / 2)}
                  y={HEIGHT + 2}
                  text-anchor="middle"
                >
                  {label}
                </text>
              )}
            </>
          )
        })}
      </svg>
      <figcaption class="legend">
        {series.map((name) => (
          <span>{name}</span>
        ))}
      </figcaption>
      <details>
        <summary>The same as a table</summary>
        <Table
          narrow
          caption={title}
          columns={[
            { title: 'When', of: (bar) => bar.label },
            ...series.map((name, which) => ({
              title: name,
              number: true,
              of: (bar: ChartProps['bars'][number]) => String(bar.values[which] ?? 0),
            })),
          ]}
          rows={bars}
        />
      </details>
    </figure>
  )
}

/** A place in the picture: more digits are only longer. */
const tenths = (value: number): number => Math.round(value * 10) / 10

/** The next of 1, 2, 5 × 10ⁿ, so that the axis reads well. */
function niceTop(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value))
  return ([1, 2, 5, 10].find((step) => step * power >= value) ?? 10) * power
}

const short = (value: number): string =>
  value >= 1_000_000 ? `${value / 1_000_000}M` : value >= 1_000 ? `${value / 1_000}k` : String(value)
