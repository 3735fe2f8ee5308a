// How far an erasure is, and at its end what became of it. It renews itself until then.
import type { ErasureShown } from '../../../shared/edge_calls.ts'
import { Badge, Time } from './list.tsx'

/** @param path of this page; with `?part=progress` it answers with this part alone */
export const Erasure = ({ erasure, path }: { erasure: ErasureShown; path: string }) => {
  const { state, done, total, secondsLeft, certificate } = erasure
  return (
    <div
      id="erasure"
      class="panel"
      {...(certificate === null && {
        'hx-get': `${path}?part=progress`,
        'hx-trigger': 'every 1s',
      })}
    >
      {/* Said once it is over, not every second. */}
      <p {...(certificate !== null && { role: 'status' })}>
        <Badge {...(state === 'done' && { kind: 'good' })}>{state}</Badge>
      </p>
      {certificate === null ? (
        <>
          <label for="progress">Cleared</label>
          {/* Without a value it says that something goes on. */}
          <progress id="progress" {...(total !== null && { value: done, max: Math.max(total, done, 1) })} />
          <p>
            {done.toLocaleString('en')} {total !== null && `of about ${total.toLocaleString('en')} `}bytes
            {secondsLeft !== null && `, ${Math.ceil(secondsLeft)} seconds left`}
          </p>
          <a class="button plain" href={path}>
            Look again
          </a>
        </>
      ) : (
        <dl>
          <dt>Asked for by</dt>
          <dd>{certificate.requestedBy}</dd>
          <dt>Ended</dt>
          <dd>
            <Time at={certificate.endedAt} />
          </dd>
          <dt>Cleared</dt>
          <dd>
            {certificate.keys.toLocaleString('en')} keys, {certificate.bytes.toLocaleString('en')} bytes
          </dd>
          <dt>Found by the last scan</dt>
          <dd>{certificate.finalScan.keysFound} keys</dd>
        </dl>
      )}
    </div>
  )
}
