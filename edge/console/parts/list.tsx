// What pages show: tables with a page to go on, empty states that say what to do next, a secret that is shown once,
// questions before what cannot be undone.
import type { Child } from 'hono/jsx'
import { CsrfField, Form, type FormOwner, OnceFields } from './form.tsx'

export interface TableProps<T> {
  caption: string
  columns: ReadonlyArray<{ title: string; number?: boolean; of: (row: T) => Child }>
  rows: ReadonlyArray<T>
  /** Stays a table on a narrow page, where each row of others becomes a list. */
  narrow?: boolean
}

/** The first column names its row. */
export function Table<T>({ caption, columns, rows, narrow = false }: TableProps<T>) {
  // Said although the element means it: a style that takes a table apart takes its meaning away in some browsers.
  const as = (role: 'table' | 'rowgroup' | 'row' | 'columnheader' | 'rowheader' | 'cell') =>
    narrow ? {} : { role }
  return (
    // It scrolls by itself where it is too wide, and then with the keyboard, too.
    <section class="scroll" tabindex={0} aria-label={caption}>
      <table {...as('table')} {...(!narrow && { class: 'wide' })}>
        <caption>{caption}</caption>
        <thead {...as('rowgroup')}>
          <tr {...as('row')}>
            {columns.map(({ title, number }) => (
              <th scope="col" {...as('columnheader')} {...(number && { class: 'number' })}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody {...as('rowgroup')}>
          {rows.map((row) => (
            <tr {...as('row')}>
              {columns.map(({ title, of, number }, at) =>
                at === 0 ? (
                  <th scope="row" {...as('rowheader')}>
                    {of(row)}
                  </th>
                ) : (
                  <td
                    {...as('cell')}
                    {...(!narrow && { 'data-title': title })}
                    {...(number && { class: 'number' })}
                  >
                    {narrow ? of(row) : <div>{of(row)}</div>}
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}

/** Onwards only: cursors lead one way. The browser's own way back leads back. */
export const Pager = ({ path, nextCursor }: { path: string; nextCursor: string | null }) =>
  nextCursor === null ? null : (
    <p>
      <a
        class="button plain"
        href={`${path}${path.includes('?') ? '&' : '?'}cursor=${encodeURIComponent(nextCursor)}`}
      >
        Next page
      </a>
    </p>
  )

export const EmptyState = ({ title, children }: { title: string; children?: Child }) => (
  <div class="panel empty">
    <h2>{title}</h2>
    {children}
  </div>
)

/** Shown this once. The button appears where a script can copy. */
export const Secret = ({ label, value }: { label: string; value: string }) => (
  <div class="secret">
    <strong id="secret-label">{label}</strong>
    <output id="secret" aria-labelledby="secret-label">
      {value}
    </output>
    <div class="actions">
      <button type="button" data-copies="secret" data-says="secret-said" hidden>
        Copy
      </button>
      <span id="secret-said" role="status" />
    </div>
    <p class="hint">Copy it now: it is shown this once and kept nowhere.</p>
  </div>
)

export interface ConfirmProps {
  visit: FormOwner
  action: string
  /** Of the button that does it. */
  verb: string
  back: string
  children?: Child
}

/** A page's question before what cannot be undone. */
export const Confirm = ({ visit, action, verb, back, children }: ConfirmProps) => (
  <div class="panel">
    {children}
    <Form visit={visit} action={action}>
      <div class="actions">
        <button class="danger" type="submit">
          {verb}
        </button>
        <a class="button plain" href={back}>
          Cancel
        </a>
      </div>
    </Form>
  </div>
)

export interface RowButtonProps {
  visit: FormOwner
  action: string
  verb: string
  /** Names the row, too, for who hears it. */
  label: string
}

/** What is done to one row, without a question. */
export const RowButton = ({ visit, action, verb, label }: RowButtonProps) => (
  <form method="post" action={action}>
    <CsrfField visit={visit} />
    <OnceFields visit={visit} />
    <button class="plain" type="submit" aria-label={label}>
      {verb}
    </button>
  </form>
)

/** `2026-11-23 10:15 UTC`, for people and machines. */
export const Time = ({ at, exact = false }: { at: string | null; exact?: boolean }) =>
  at === null ? (
    <>never</>
  ) : (
    <time datetime={at}>{`${at.slice(0, 10)} ${at.slice(11, exact ? 19 : 16)} UTC`}</time>
  )

/** What the API and the audit log call it. */
export const Id = ({ id }: { id: string }) => (
  <p class="quiet">
    <code>{id}</code>
  </p>
)

export const Badge = ({ kind, children }: { kind?: 'good' | 'bad'; children?: Child }) => (
  <span class={kind ? `badge ${kind}` : 'badge'}>{children}</span>
)
