// Host names as organisations may have them: ASCII (an international one in its `xn--` form, RFC 5890), in lower case,
// with a dot in it, and no address.

const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'
const DOMAIN = new RegExp(`^(?=.{4,253}$)(?:${LABEL}\\.)+(?=[a-z0-9-]*[a-z])${LABEL}$`)

export const isDomain = (text: string): boolean => DOMAIN.test(text)

/** Whether `host` is `domain` or below it. */
export const isWithin = (host: string, domain: string): boolean =>
  host === domain || host.endsWith(`.${domain}`)
