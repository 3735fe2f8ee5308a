// An admin link as it is asked for and shown, on the page of all links and on a member's own.
import type { ProblemDetails } from '../../../shared/problems.ts'
import type { Role } from '../../../shared/roles.ts'
import type { Visit } from '../visit.ts'
import { errorAt, Select } from './form.tsx'
import { RowButton, Secret, Time } from './list.tsx'

export interface MadeLink {
  id: string
  role: Role
  email: string | null
  expiresAt: string
  url: string
}

export const LinkLife = ({
  seconds,
  problem,
}: {
  seconds?: string | undefined
  problem?: ProblemDetails | undefined
}) => (
  <Select
    name="seconds"
    label="Can be used within"
    value={seconds ?? '900'}
    error={errorAt(problem, '/expiresIn')}
    options={[
      { value: '900', label: '15 minutes' },
      { value: '86400', label: 'a day' },
      { value: '604800', label: 'a week' },
    ]}
  />
)

/** Shown this once. `back` leads to the page that it was made on, below the console's own path. */
export const LinkShown = ({
  visit,
  link: { id, url, role, email, expiresAt },
  back,
}: {
  visit: Pick<Visit, 'base' | 'csrf'>
  link: MadeLink
  back: { path: string; title: string }
}) => (
  <>
    <Secret label={`The link${email === null ? '' : ` for ${email}`}`} value={url} />
    <p>
      Whoever uses it first is in as {role}. It can be used once, until <Time at={expiresAt} />; opening it
      uses nothing up.
    </p>
    <div class="actions">
      <a class="button plain" href={`${visit.base}/${back.path}`}>
        Back to {back.title}
      </a>
      <RowButton
        {...{ visit, action: `${visit.base}/links/${id}/revoke`, verb: 'Revoke' }}
        label={`Revoke the link for ${email ?? id}`}
      />
    </div>
  </>
)
