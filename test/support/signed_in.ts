// Uses an admin link as a browser does, at an edge that a test has started.

/** @returns the session's cookie */
export async function signedIn(edge: string, slug: string, link: string): Promise<string> {
  const { origin, pathname, search } = new URL(link)
  const url = edge + pathname + search
  const cookies = (answer: Response) => answer.headers.getSetCookie().map((each) => each.split(';')[0] ?? '')
  const [cookie = ''] = cookies(await fetch(url))
  const entered = await fetch(url, { method: 'POST', redirect: 'manual', headers: { origin, cookie } })
  const session = cookies(entered).find((each) => each.startsWith(`__Host-coditect-t-${slug}=`))
  if (session === undefined) throw new Error(`the link was answered ${entered.status}`)
  return session
}
