import type { Report } from "../../graph/view/report.js"
import { formatBytes } from "../../tensor/bytes.js"
import { formatCount } from "../ui/format.js"

/** What is looked at. */
export interface Subject extends Report {
  readonly model: string
  /** `decoding one token` */
  readonly step: string
  readonly device: string
  /** Tokens that the caches have room for. */
  readonly context: number
  /** Passes that were asked to be left out. */
  readonly without: readonly string[]
}

export function titleOf(subject: Subject): string {
  return `${subject.model}: ${settingOf(subject)}`
}

export function settingOf({ step, context, device, without }: Omit<Subject, "model">): string {
  const left = without.length > 0 ? `, without ${without.join(", ")}` : ""
  return `${step}, caches of ${context} tokens, on ${device}${left}`
}

/** A row for each fact of the step: as traced, and as optimised. */
export function comparison({ traced, optimised }: Report): [string, string, string][] {
  const row = (name: string, of: (step: Report["traced"]) => string): [string, string, string] => [
    name,
    of(traced),
    of(optimised),
  ]
  return [
    row("launches", ({ launches }) => String(launches)),
    row("read", ({ read }) => bytes(read)),
    row("written", ({ written }) => bytes(written)),
    row("floating-point operations", ({ flops }) => formatCount(Math.round(flops))),
    row("intermediate values, at most at once", ({ arena }) => bytes(arena)),
    row("the same without reuse of memory", ({ arenaApart }) => bytes(arenaApart)),
  ]
}

export const PASS_HEADER = ["pass", "matched", "launches saved", "memory saved", "left alone"] as const

export function passRows({ passes }: Report): [string, string, string, string, string][] {
  return passes.map(({ pass, matched, launches, arena, missed }) => [
    pass,
    String(matched),
    String(launches),
    arena < 0 ? `-${bytes(-arena)}` : bytes(arena),
    String(missed.reduce((sum, { count }) => sum + count, 0)),
  ])
}

export const MISS_HEADER = ["pass", "operation", "times", "not fused because"] as const

export function missRows({ passes }: Report): [string, string, string, string][] {
  return passes.flatMap(({ pass, missed }) =>
    missed.map(({ kind, reason, count }): [string, string, string, string] => [pass, kind, String(count), reason]),
  )
}

/** Estimates are fractions of bytes where experts are chosen. */
export function bytes(count: number): string {
  return formatBytes(Math.round(count))
}

/** Operations of a launch; most have none worth counting. */
export function operations(flops: number): string {
  return flops > 0 ? formatCount(Math.round(flops)) : ""
}
