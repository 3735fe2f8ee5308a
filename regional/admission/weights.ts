// How much of a busy region a tenant gets beside others: its weight, by plan.
import { PLAN_NAMES, type PlanName } from '../../shared/plans.ts'

const WEIGHTS: Readonly<Record<PlanName, number>> = { free: 1, team: 4, enterprise: 16 }

/** Of its weight, for a tenant's background work. */
export const BACKGROUND_PART = 0.25
/** What is left of the weight of a tenant that is isolated. */
export const ISOLATED_PART = 0.25

/** @param plan as the edge said it: what it does not know yet counts as the smallest */
export const weightOf = (plan: string | undefined): number =>
  WEIGHTS[PLAN_NAMES.find((name) => name === plan) ?? 'free']
