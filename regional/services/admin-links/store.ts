// Admin links as they are kept. What opening one comes to, regional/tenancy/sessions.ts says.
import { Problem } from '../../../shared/problems.ts'
import { presentEra, takenBackAt } from '../../tenancy/ended.ts'
import { type AdminLinkRecord, adminLinkSpace } from '../../tenancy/records.ts'
import { notFound, type Page, type TenantTransaction } from '../../tenancy/service.ts'

/** How long a link is still told as used, revoked or expired. */
const TOLD_MS = 24 * 60 * 60 * 1000

export async function addLink(tx: TenantTransaction, link: AdminLinkRecord): Promise<void> {
  tx.space(adminLinkSpace).set([link.id], { ...link, era: await presentEra(tx) })
  await tx.expire('admin-link', link.id, link.expiresAtMs + TOLD_MS)
  tx.emit('admin_link.created', link.id)
}

/** Oldest first. */
export async function listLinks(
  tx: TenantTransaction,
  limit: number,
  after: [id: string] | undefined,
): Promise<Page<[id: string], AdminLinkRecord>> {
  const { entries, more } = await tx.space(adminLinkSpace).page({ limit, after })
  return {
    entries: await Promise.all(entries.map(async ([id, link]) => [id, await asItIs(tx, link)] as const)),
    more,
  }
}

/** Also where it was taken back together with others, which its own record does not say. */
const asItIs = async (tx: TenantTransaction, link: AdminLinkRecord): Promise<AdminLinkRecord> => ({
  ...link,
  revokedAt: await takenBackAt(tx, link),
})

/** @throws {Problem} `not_found` */
export async function readLink(tx: TenantTransaction, id: string): Promise<AdminLinkRecord> {
  const link = await tx.space(adminLinkSpace).get([id])
  if (link === undefined) throw notFound()
  return asItIs(tx, link)
}

/** @throws {Problem} `not_found`; `conflict` for one that was used: whoever it let in stays */
export async function revokeLink(tx: TenantTransaction, id: string): Promise<void> {
  const link = await readLink(tx, id)
  if (link.used !== null) {
    throw new Problem(
      'conflict',
      `The link was used already. Whoever it let in stays until their session ends: DELETE /v1/sessions/${link.used.session} ends it.`,
    )
  }
  if (link.revokedAt !== null) return
  const revokedAt = new Date(tx.context.nowMs).toISOString()
  tx.space(adminLinkSpace).set([id], { ...link, revokedAt })
  tx.emit('admin_link.revoked', id)
}
