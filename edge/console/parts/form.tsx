// Forms: a label, a hint and an error for every field, tied together for who hears them, and the first that is wrong is
// where a page begins; the token in each form.
import type { Child } from 'hono/jsx'
import type { FieldError, ProblemDetails } from '../../../shared/problems.ts'
import { CSRF_FIELD } from '../csrf.ts'
import type { Visit } from '../visit.ts'

/** Whose forms they are: as much of a visit as a form needs. */
export type FormOwner = Pick<Visit, 'csrf' | 'once'>

export const CsrfField = ({ visit }: { visit: FormOwner }) => (
  <input type="hidden" name={CSRF_FIELD} value={visit.csrf} />
)

/** One form, one effect: sent twice, it is the same request, of the time that it was shown at. */
export const OnceFields = ({ visit }: { visit: FormOwner }) => (
  <>
    <input type="hidden" name="once" value={visit.once ?? crypto.randomUUID()} />
    <input type="hidden" name="shown" value={new Date().toISOString()} />
  </>
)

export interface FormProps {
  visit: FormOwner
  action: string
  children?: Child
}

/** Sent as it was typed: the usual encoding makes three bytes of each quote, and six of a line's end. */
export const AS_TYPED = { method: 'post', enctype: 'multipart/form-data' } as const

export const Form = ({ visit, action, children }: FormProps) => (
  <form class="stack" {...AS_TYPED} action={action}>
    <CsrfField visit={visit} />
    <OnceFields visit={visit} />
    {children}
  </form>
)

/** What is wrong with the part of the body that a pointer names, or with anything in it. */
export const errorAt = (problem: ProblemDetails | undefined, pointer: string): string | undefined =>
  problem?.errors?.find(
    (error: FieldError) => error.pointer === pointer || error.pointer.startsWith(`${pointer}/`),
  )?.detail

export interface FieldProps {
  name: string
  label: string
  hint?: string | undefined
  error?: string | undefined
  value?: string | undefined
  type?: 'text' | 'email' | 'url' | 'datetime-local' | 'password' | 'search' | 'number'
  required?: boolean
  autocomplete?: string
  maxlength?: number
  pattern?: string
}

export function Field({ name, label, hint, error, value, type = 'text', ...rest }: FieldProps) {
  return (
    <div>
      <label for={`field-${name}`}>{label}</label>
      {hint && (
        <p class="hint" id={`hint-${name}`}>
          {hint}
        </p>
      )}
      <input
        id={`field-${name}`}
        name={name}
        type={type}
        value={value}
        {...rest}
        {...described(name, hint, error)}
        {...beginningAt(error)}
      />
      <FieldProblem name={name} error={error} />
    </div>
  )
}

interface SecretFieldProps extends Omit<FieldProps, 'type' | 'value' | 'autocomplete'> {
  /** Whether the form that is shown again had one. */
  typed: boolean
}

/** What was typed into it is never written back into a page, which says so: left empty, it would be lost unseen. */
export const SecretField = ({ typed, error, ...rest }: SecretFieldProps) => (
  <Field
    {...rest}
    type="password"
    autocomplete="off"
    error={error ?? (typed ? 'Type it again: a secret is never shown, nor kept here.' : undefined)}
  />
)

export interface TextAreaProps {
  name: string
  label: string
  hint?: string | undefined
  error?: string | undefined
  value?: string | undefined
  rows?: number
  required?: boolean
}

export function TextArea({ name, label, hint, error, value, rows = 8, required }: TextAreaProps) {
  return (
    <div>
      <label for={`field-${name}`}>{label}</label>
      {hint && (
        <p class="hint" id={`hint-${name}`}>
          {hint}
        </p>
      )}
      <textarea
        id={`field-${name}`}
        name={name}
        rows={rows}
        required={required}
        spellcheck={false}
        {...described(name, hint, error)}
        {...beginningAt(error)}
      >
        {
          // The first end of a line is not read as part of the text.
          `\n${value ?? ''}`
        }
      </textarea>
      <FieldProblem name={name} error={error} />
    </div>
  )
}

export interface SelectProps {
  name: string
  label: string
  hint?: string | undefined
  error?: string | undefined
  value?: string | undefined
  options: ReadonlyArray<string | { value: string; label: string }>
}

export function Select({ name, label, hint, error, value, options }: SelectProps) {
  return (
    <div>
      <label for={`field-${name}`}>{label}</label>
      {hint && (
        <p class="hint" id={`hint-${name}`}>
          {hint}
        </p>
      )}
      <select id={`field-${name}`} name={name} {...described(name, hint, error)} {...beginningAt(error)}>
        {options.map((option) => {
          const each = typeof option === 'string' ? { value: option, label: option } : option
          return (
            <option value={each.value} selected={each.value === value}>
              {each.label}
            </option>
          )
        })}
      </select>
      <FieldProblem name={name} error={error} />
    </div>
  )
}

export interface ChoicesProps {
  name: string
  legend: string
  hint?: string | undefined
  error?: string | undefined
  values: ReadonlyArray<string>
  options: ReadonlyArray<string>
}

/** Several of many. */
export function Choices({ name, legend, hint, error, values, options }: ChoicesProps) {
  return (
    <fieldset {...described(name, hint, error)}>
      <legend>{legend}</legend>
      {hint && (
        <p class="hint" id={`hint-${name}`}>
          {hint}
        </p>
      )}
      {options.map((option, at) => (
        <label>
          <input
            type="checkbox"
            name={name}
            value={option}
            checked={values.includes(option)}
            {...(at === 0 && beginningAt(error))}
          />
          {option}
        </label>
      ))}
      <FieldProblem name={name} error={error} />
    </fieldset>
  )
}

const FieldProblem = ({ name, error }: { name: string; error: string | undefined }) =>
  error === undefined ? null : (
    <p class="error" id={`error-${name}`}>
      {error}
    </p>
  )

/** Of all that say so, a browser goes to the first, without script, too. */
const beginningAt = (error: string | undefined) => error !== undefined && { autofocus: true }

function described(name: string, hint: string | undefined, error: string | undefined) {
  const by = [hint && `hint-${name}`, error !== undefined && `error-${name}`].filter(Boolean).join(' ')
  return {
    ...(by !== '' && { 'aria-describedby': by }),
    ...(error !== undefined && { 'aria-invalid': 'true' as const }),
  }
}
