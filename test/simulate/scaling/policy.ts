// How many instances there should be: Kubernetes' horizontal pod autoscaler (`k8s.io/kubernetes/pkg/controller/podautoscaler`),
// with the two signals and the behaviour that deploy/kubernetes/keda.yaml gives it. Pure: time comes in, numbers go out.

export interface Policy {
  /** Of each instance, on average. */
  targetUtilisation: number
  targetQueueWaitMs: number
  minimum: number
  maximum: number
  /** At most so many times as many in {@link UP_PERIOD_S}. */
  upTimes: number
  /** Seconds whose highest recommendation holds before there are fewer. */
  stabilisationS: number
  /** At most this part less in {@link DOWN_PERIOD_S}. */
  downPart: number
  /** Seconds over which utilisation is averaged, and waiting. */
  utilisationWindowS: number
  queueWaitWindowS: number
}

/** What deploy/kubernetes/keda.yaml says; a test holds the two together. */
export const SHIPPED: Policy = {
  targetUtilisation: 0.85,
  targetQueueWaitMs: 20,
  minimum: 2,
  maximum: 100,
  upTimes: 2,
  stabilisationS: 300,
  downPart: 0.1,
  utilisationWindowS: 60,
  queueWaitWindowS: 30,
}

/** As Kubernetes has them by default. */
export const SYNC_S = 15
const TOLERANCE = 0.1
const UP_PERIOD_S = 15
const DOWN_PERIOD_S = 60

export interface Signals {
  /** Mean of the instances that serve. */
  utilisation: number
  queueWaitMs: number
  /** Instances that serve, and that there are, those that start included. */
  ready: number
  instances: number
}

/** What the signals alone ask for: the most that any of them does. */
export function recommended(policy: Policy, { utilisation, queueWaitMs, ready, instances }: Signals): number {
  const sum = utilisation * ready
  // AverageValue: so many as share the sum. Value: in proportion.
  const byUtilisation = within(sum / (policy.targetUtilisation * instances))
    ? instances
    : Math.ceil(sum / policy.targetUtilisation)
  const waitRatio = queueWaitMs / policy.targetQueueWaitMs
  const byWait = within(waitRatio) ? instances : Math.ceil(waitRatio * ready)
  return Math.min(policy.maximum, Math.max(policy.minimum, byUtilisation, byWait))
}

const within = (ratio: number): boolean => Math.abs(ratio - 1) <= TOLERANCE

interface Past {
  atS: number
  count: number
}

/** Remembers what it said, for as long as behaviour asks it to. */
export class Autoscaler {
  private readonly policy: Policy
  private recommendations: Past[] = []
  /** How many there were, before each change. */
  private changes: Past[] = []

  constructor(policy: Policy) {
    this.policy = policy
  }

  /** To be asked every {@link SYNC_S} seconds. */
  decide(atS: number, signals: Signals): number {
    const { policy } = this
    const { instances } = signals
    const asked = recommended(policy, signals)
    this.recommendations = this.recommendations.filter((past) => past.atS > atS - policy.stabilisationS)
    this.recommendations.push({ atS, count: asked })
    this.changes = this.changes.filter((past) => past.atS > atS - DOWN_PERIOD_S)
    let wanted = instances
    if (asked > instances) {
      const from = Math.min(instances, ...this.changesSince(atS - UP_PERIOD_S))
      wanted = Math.min(asked, Math.ceil(from * policy.upTimes))
    } else {
      const stable = Math.max(...this.recommendations.map(({ count }) => count))
      const from = Math.max(instances, ...this.changesSince(atS - DOWN_PERIOD_S))
      const least = Math.floor(from * (1 - policy.downPart))
      wanted = Math.min(instances, Math.max(stable, least))
    }
    if (wanted !== instances) this.changes.push({ atS, count: instances })
    return wanted
  }

  private changesSince(atS: number): number[] {
    return this.changes.filter((past) => past.atS > atS).map(({ count }) => count)
  }
}
