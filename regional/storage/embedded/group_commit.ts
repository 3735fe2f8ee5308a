// Group commit: commits that arrive while the writer is busy go to it together, in order, as one group with
// one fsync. This is the main thread's side of the writer; nothing here waits.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { WriteFailure } from '../storage_error.ts'
import { GROUP_BYTES } from './limits.ts'
import { type Effect, encode, encodedSize } from './mutation_codec.ts'
import type { PassPlace, WriterOptions, WriterReply, WriterRequest } from './writer_thread.ts'

export interface PendingCommit {
  version: number
  effects: Effect[]
  /** Called when the commit is durable, or with the reason why it is not; `behind` one that failed for reasons of its own. */
  settle(failure: WriteFailure | 'behind' | undefined): void
}

/** What the writer does between two groups, beside writing. */
export type Upkeep = Extract<WriterRequest, { kind: 'checkpoint' | 'overwrite' | 'empty' }>

/** What the storage does around groups. It is told before the commits of the group are. */
export interface GroupListener {
  groupDurable(version: number, logPages: number): void
  groupFailed(failure: WriteFailure): void
  /** The writer is idle between two groups: the moment to move the snapshot. */
  between(): Upkeep | undefined
  /** @param reply `failed` costs no commit: the log still has everything, and grows until a checkpoint succeeds; but where it was a sync by ourselves */
  kept(reply: WriterReply): void
}

const ANSWERS_A_TURN = 8

interface Queued {
  commit: PendingCommit
  bytes: number
}

export class GroupCommit {
  readonly #worker: Worker
  readonly #listener: GroupListener
  #queue: Queued[] = []
  #inFlight: PendingCommit[] | undefined
  #keeping = false
  #queuedBytes = 0
  #scheduled = false
  /** So many commits go each alone, since a group that they were in could not be written for one of them. */
  #alone = 0
  /** Answers are being given: what follows from them joins the next group. */
  #answering = false
  /** Durable, and still to be told so, in order. */
  #answers: PendingCommit[] = []
  #closing: (() => void) | undefined
  /** Where a pass over the file goes on that is due when it closes. */
  #passAt: PassPlace | undefined
  #dead: WriteFailure | undefined

  private constructor(worker: Worker, listener: GroupListener) {
    this.#worker = worker
    this.#listener = listener
    worker.on('message', (reply: WriterReply) => this.#receive(reply))
    worker.on('error', (error) => this.#die({ message: String(error), rolledBack: false }))
    worker.on('exit', () => {
      if (!this.#closing) this.#die({ message: 'the writer thread has ended', rolledBack: false })
    })
    worker.unref()
  }

  static async start(
    options: WriterOptions,
    listener: GroupListener,
  ): Promise<{ writer: GroupCommit; passDue: boolean }> {
    const worker = new Worker(new URL('./writer_thread.ts', import.meta.url), {
      workerData: options,
      stdout: false,
      stderr: false,
    })
    let ready: WriterReply
    try {
      ;[ready] = (await once(worker, 'message')) as [WriterReply]
    } catch (error) {
      await worker.terminate()
      throw error
    }
    const writer = new GroupCommit(worker, listener)
    return { writer, passDue: ready.kind === 'ready' && ready.passDue }
  }

  /** Bytes accepted and not yet durable. */
  get queuedBytes(): number {
    return this.#queuedBytes
  }

  /** The lowest version that is not yet durable, if there is one. */
  get firstPending(): number | undefined {
    return (this.#inFlight?.[0] ?? this.#queue[0]?.commit)?.version
  }

  get isIdle(): boolean {
    return this.#inFlight === undefined && !this.#keeping
  }

  add(commit: PendingCommit): void {
    const bytes = encodedSize(commit.effects)
    this.#queue.push({ commit, bytes })
    this.#queuedBytes += bytes
    this.#schedule()
  }

  /** Gives the listener its moment between two groups soon, though no commit asks for it. */
  nudge(): void {
    this.#schedule()
  }

  async close(passAt: PassPlace | undefined): Promise<void> {
    if (!this.#dead) {
      this.#passAt = passAt
      const closed = new Promise<void>((resolve) => {
        this.#closing = resolve
      })
      this.#worker.ref()
      this.#schedule()
      await closed
    }
    await this.#worker.terminate()
  }

  /** Waits for the end of the event loop's turn, so that all commits of this turn share the group. */
  #schedule(): void {
    if (this.#scheduled || this.#answering || !this.isIdle) return
    this.#scheduled = true
    this.#worker.ref()
    setImmediate(() => {
      this.#scheduled = false
      this.#step()
    })
  }

  #step(): void {
    if (!this.isIdle || this.#dead) return
    const upkeep = this.#listener.between()
    if (upkeep !== undefined) {
      this.#keeping = true
      this.#post(upkeep)
      return
    }
    if (this.#queue.length > 0) this.#sendGroup()
    else if (this.#closing) this.#post({ kind: 'close', passAt: this.#passAt })
    else this.#worker.unref()
  }

  #sendGroup(): void {
    let size = 0
    let count = 0
    for (const { bytes } of this.#queue) {
      if (count > 0 && (size + bytes > GROUP_BYTES || this.#alone > 0)) break
      size += bytes
      count++
    }
    if (this.#alone > 0) this.#alone--
    const group = this.#queue.splice(0, count)
    const memory = Buffer.from(new ArrayBuffer(size))
    let at = 0
    for (const { commit } of group) at = encode(commit.effects, memory, at)
    this.#queuedBytes -= size
    this.#inFlight = group.map(({ commit }) => commit)
    const version = (this.#inFlight.at(-1) as PendingCommit).version
    this.#post({ kind: 'commit', version, bytes: new Uint8Array(memory.buffer) }, [
      memory.buffer as ArrayBuffer,
    ])
  }

  #post(request: WriterRequest, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(request, transfer)
  }

  #receive(reply: WriterReply): void {
    if (reply.kind === 'closed') {
      this.#closing?.()
      return
    }
    if (reply.kind === 'failed' && !this.#keeping) {
      const { message, rolledBack, cause } = reply
      const isOfOne = rolledBack && (cause === 'damage' || cause === 'other')
      if (isOfOne && (this.#inFlight?.length ?? 0) > 1) this.#separate()
      else this.#fail({ message, rolledBack, damaged: cause === 'damage' }, isOfOne)
      if (this.#closing && this.#queue.length === 0) this.#closing()
      return
    }
    if (this.#keeping) {
      this.#keeping = false
      this.#listener.kept(reply)
      this.#step()
      return
    }
    const group = this.#inFlight ?? []
    this.#inFlight = undefined
    const last = group.at(-1)
    if (last && reply.kind === 'committed') this.#listener.groupDurable(last.version, reply.logPages)
    // The writer goes on before the answers are given, so that they cost it no time.
    if (this.#queue.length > 0) this.#step()
    this.#answers.push(...group)
    if (!this.#answering) this.#answer()
  }

  /** What waits for these commits runs as soon as they are settled: a few a turn, or the event loop stands still. */
  #answer(): void {
    for (const commit of this.#answers.splice(0, ANSWERS_A_TURN)) commit.settle(undefined)
    this.#answering = this.#answers.length > 0
    if (this.#answering) setImmediate(() => this.#answer())
    else this.#schedule()
  }

  /** Has the commits of the group go each alone, in order: those before the one that can't be written are written. */
  #separate(): void {
    const group = (this.#inFlight ?? []).map((commit) => ({ commit, bytes: encodedSize(commit.effects) }))
    this.#inFlight = undefined
    this.#alone = group.length
    this.#queue = [...group, ...this.#queue]
    for (const { bytes } of group) this.#queuedBytes += bytes
    this.#step()
  }

  /** Commits behind a failed one were resolved on top of it, so they fail with it; where it was `ofOne`, to be tried again. */
  #fail(failure: WriteFailure, ofOne = false): void {
    const failed = this.#inFlight ?? []
    const behind = this.#queue
    for (const commit of this.#answers.splice(0)) commit.settle(undefined)
    this.#inFlight = undefined
    this.#queue = []
    this.#queuedBytes = 0
    this.#alone = 0
    this.#listener.groupFailed(failure)
    for (const commit of failed) commit.settle(failure)
    for (const { commit } of behind) commit.settle(ofOne ? 'behind' : failure)
    this.#worker.unref()
  }

  #die(failure: WriteFailure): void {
    if (this.#dead) return
    this.#dead = failure
    this.#fail(failure)
    this.#closing?.()
  }
}
