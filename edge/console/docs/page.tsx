// /docs: the OpenAPI document as a page, made here from the very document that /openapi.json answers. No script, and nothing
// of another host.
import type { Child } from 'hono/jsx'

interface Schema {
  $ref?: string
  type?: string | string[]
  format?: string
  enum?: unknown[]
  description?: string
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
  anyOf?: Schema[]
  oneOf?: Schema[]
  allOf?: Schema[]
  additionalProperties?: boolean | Schema
}

interface Content {
  [mediaType: string]: { schema?: Schema; example?: unknown }
}

interface Operation {
  operationId: string
  summary?: string
  description?: string
  tags?: string[]
  security?: Array<Record<string, unknown>>
  parameters?: Array<{ name: string; in: string; required?: boolean; schema?: Schema }>
  requestBody?: { content: Content }
  responses: Record<string, { description?: string; content?: Content }>
}

interface Webhook {
  post?: { summary?: string; description?: string; requestBody?: { content: Content } }
}

export interface OpenApi {
  info: { title: string; version: string; description?: string }
  paths: Record<string, Record<string, Operation>>
  webhooks?: Record<string, Webhook>
  components?: {
    schemas?: Record<string, Schema>
    securitySchemes?: Record<string, { description?: string }>
  }
}

interface Listed {
  method: string
  path: string
  operation: Operation
}

export function Docs({ document }: { document: OpenApi }): Child {
  const all: Listed[] = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  )
  const byTag = Map.groupBy(all, ({ operation }) => operation.tags?.[0] ?? 'Other')
  const { schemas = {}, securitySchemes = {} } = document.components ?? {}
  return (
    <main>
      <h1>{document.info.title} API</h1>
      <p>
        {document.info.description} As a document for programs: <a href="/openapi.json">/openapi.json</a>{' '}
        (OpenAPI 3.1).
      </p>
      <nav aria-label="Contents" class="panel">
        <h2>Contents</h2>
        <ul>
          {[...byTag.keys()].map((tag) => (
            <li>
              <a href={`#${anchorOf(tag)}`}>{tag}</a>
            </li>
          ))}
          <li>
            <a href="#credentials">Credentials</a>
          </li>
          <li>
            <a href="#webhooks">What endpoints are sent</a>
          </li>
          <li>
            <a href="#schemas">Schemas</a>
          </li>
        </ul>
      </nav>
      <section class="panel" aria-labelledby="credentials">
        <h2 id="credentials">Credentials</h2>
        <dl>
          {Object.entries(securitySchemes).map(([name, { description }]) => (
            <>
              <dt>{name}</dt>
              <dd>{marked(description ?? '')}</dd>
            </>
          ))}
        </dl>
      </section>
      {[...byTag].map(([tag, operations]) => (
        <section class="panel" aria-labelledby={anchorOf(tag)}>
          <h2 id={anchorOf(tag)}>{tag}</h2>
          {operations.map((listed) => (
            <OperationOf {...listed} />
          ))}
        </section>
      ))}
      <Webhooks webhooks={document.webhooks ?? {}} />
      <section class="panel" aria-labelledby="schemas">
        <h2 id="schemas">Schemas</h2>
        {Object.entries(schemas).map(([name, schema]) => (
          <details>
            <summary>
              <code>{name}</code>
            </summary>
            {/* A browser that is led to what is inside opens it. */}
            <div id={schemaAnchor(name)}>
              <Fields schema={schema} />
            </div>
          </details>
        ))}
      </section>
    </main>
  )
}

function Webhooks({ webhooks }: { webhooks: Record<string, Webhook> }): Child {
  const [one] = Object.values(webhooks)
  const media = one?.post?.requestBody?.content['application/json']
  return (
    <section class="panel" aria-labelledby="webhooks">
      <h2 id="webhooks">What endpoints are sent</h2>
      <p>{marked(one?.post?.description ?? '')}</p>
      {media?.schema && <p>Body: {typeOf(media.schema)}</p>}
      <Example value={media?.example} />
      <dl>
        {Object.entries(webhooks).map(([type, { post }]) => (
          <>
            <dt>
              <code>{type}</code>
            </dt>
            <dd>{marked(post?.summary ?? '')}</dd>
          </>
        ))}
      </dl>
    </section>
  )
}

function Example({ value }: { value: unknown }): Child {
  if (value === undefined) return null
  return (
    <pre>
      <code>{JSON.stringify(value, undefined, 2)}</code>
    </pre>
  )
}

function OperationOf({ method, path, operation }: Listed): Child {
  const {
    operationId,
    summary,
    description,
    parameters = [],
    requestBody,
    responses,
    security = [],
  } = operation
  const body = requestBody?.content['application/json']?.schema
  return (
    <details id={operationId}>
      <summary>
        <strong>{method}</strong> <code>{path}</code> {summary}
      </summary>
      {description && <p>{marked(description)}</p>}
      <p>Takes: {security.flatMap((each) => Object.keys(each)).join(', ') || 'no credential'}.</p>
      {parameters.length > 0 && (
        <>
          <h3>Parameters</h3>
          <dl>
            {parameters.map((parameter) => (
              <>
                <dt>
                  <code>{parameter.name}</code> ({parameter.in}
                  {parameter.required ? ', required' : ''})
                </dt>
                <dd>
                  {typeOf(parameter.schema ?? {})} {marked(parameter.schema?.description ?? '')}
                </dd>
              </>
            ))}
          </dl>
        </>
      )}
      {body && (
        <>
          <h3>Body</h3>
          <p>{typeOf(body)}</p>
          <Fields schema={body} />
          <Example value={requestBody?.content['application/json']?.example} />
        </>
      )}
      <h3>Answers</h3>
      <dl>
        {Object.entries(responses).map(([status, answer]) => (
          <>
            <dt>{status}</dt>
            <dd>
              {marked(answer.description ?? '')}{' '}
              {Object.entries(answer.content ?? {}).map(([type, { schema, example }]) => (
                <>
                  <span>
                    <code>{type}</code> {schema && typeOf(schema)}{' '}
                  </span>
                  <Example value={example} />
                </>
              ))}
            </dd>
          </>
        ))}
      </dl>
    </details>
  )
}

function Fields({ schema }: { schema: Schema }): Child {
  const fields = Object.entries(schema.properties ?? {})
  if (fields.length === 0) return <p>{typeOf(schema)}</p>
  return (
    <dl>
      {fields.map(([name, field]) => (
        <>
          <dt>
            <code>{name}</code>
            {schema.required?.includes(name) ? ' (required)' : ''}
          </dt>
          <dd>
            {typeOf(field)} {marked(field.description ?? '')}
          </dd>
        </>
      ))}
    </dl>
  )
}

function typeOf(schema: Schema): Child {
  if (schema.$ref !== undefined) {
    const name = schema.$ref.split('/').at(-1) ?? ''
    return <a href={`#${schemaAnchor(name)}`}>{name}</a>
  }
  const parts = schema.anyOf ?? schema.oneOf ?? schema.allOf
  if (parts !== undefined) {
    return parts.map((part, i) => (
      <>
        {i > 0 && (schema.allOf ? ' and ' : ' or ')}
        {typeOf(part)}
      </>
    ))
  }
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(', ')
  const type = [schema.type ?? 'any'].flat().join(' or ')
  if (schema.items !== undefined) return <>list of {typeOf(schema.items)}</>
  return schema.format === undefined ? type : `${type} (${schema.format})`
}

/** `code` in a description is code. */
const marked = (text: string): Child =>
  text.split('`').map((part, i) => (i % 2 === 1 ? <code>{part}</code> : part))

const anchorOf = (tag: string): string => `tag-${tag.toLowerCase().replace(/[^a-z0-9]+/g, '-')}`
const schemaAnchor = (name: string): string => `schema-${name}`
