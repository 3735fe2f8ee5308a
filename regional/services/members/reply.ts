// A member as an answer shows them.
import type { MemberRecord } from '../../tenancy/records.ts'
import { type Reply, versionTag } from '../../tenancy/service.ts'
import type { Member } from './schema.ts'

export const shownMember = ({ version: _, vouched: __, ...member }: MemberRecord): Member => member

export const replyMember = (
  status: number,
  member: MemberRecord,
  headers: Record<string, string> = {},
): Reply => ({
  status,
  body: shownMember(member),
  headers: { etag: versionTag(member), ...headers },
})
