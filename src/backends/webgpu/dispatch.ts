import type { Sym } from "../../ir/dim.js"
import { mapWeight } from "../../ir/operands.js"
import type { WeightOf } from "../../ir/type.js"
import { type DType, itemSize } from "../../tensor/dtype.js"
import { sizeOf } from "../../tensor/shape.js"
import type { Operand } from "../../ir/program.js"
import { type Bindable, isPerReplay, most, type PerReplay } from "./bindable.js"
import type { GpuFeatures } from "./features.js"
import { type Declaration, type Extension, gather } from "./wgsl/declaration.js"
import { denseOne, isDense } from "./wgsl/formats/dense_floats.js"

/** Element types that a kernel may see a buffer as, with their bytes. */
const ELEMENT_BYTES = {
  u32: 4,
  i32: 4,
  f32: 4,
  f16: 2,
  "atomic<u32>": 4,
  "vec2<u32>": 8,
  "vec4<u32>": 16,
  "vec2<f32>": 8,
  "vec4<f32>": 16,
  "vec2<f16>": 4,
  "vec4<f16>": 8,
} as const

export type ElementType = keyof typeof ELEMENT_BYTES

/** An operand as a kernel sees it. */
export interface View {
  readonly operand: Operand
  readonly type: ElementType
  readonly writes: boolean
}

export function reads(operand: Operand, type: ElementType): View {
  return { operand, type, writes: false }
}

/** Also for operands that are read and written. */
export function writes(operand: Operand, type: ElementType): View {
  return { operand, type, writes: true }
}

/** How kernel text reaches one operand. */
export interface Accessor {
  /** Element `i` (WGSL, u32) of the view's type, counted from the operand's first byte, which must be aligned to it. */
  at(i: string): string
  /** Element `i` of the operand's own dtype, as f32 (float dtypes) or u32 (integers), from a view as `u32`. */
  load(i: string): string
}

/** A value of the kernel's uniform block. Plain numbers are u32. */
export type Param = Bindable<number> | { readonly f32: number }

/**
 * One compute dispatch: what runs, on what. `code` returns WGSL with an entry point `main`; the bindings and
 * `params.<name>` are declared for it. Dispatches whose text is equal share a pipeline, so sizes that vary
 * from call to call (rows) belong into `params`.
 */
export type Workgroups = readonly [number, number, number]

export interface Dispatch<V extends string = string> {
  /** For traces and benchmarks: "attention f16 window". */
  readonly label: string
  readonly views: Readonly<Record<V, View>>
  readonly params?: Readonly<Record<string, Param>>
  /** What the code calls that it does not declare itself. */
  readonly uses?: readonly Declaration[]
  /** Extensions that the code uses itself. */
  readonly enable?: readonly Extension[]
  readonly code: (views: Readonly<Record<V, Accessor>>) => string
  readonly workgroups: Bindable<Workgroups>
  /** Bytes of weights and caches that it must at least read. */
  readonly bytes?: number
}

/** Keeps the views' names for the compiler. */
export function dispatch<V extends string>(of: Dispatch<V>): Dispatch {
  return of as unknown as Dispatch
}

/** What a kernel's planner is given beside the operation. */
export interface KernelContext {
  readonly features: GpuFeatures
  /** Memory for use between the dispatches that are planned together; its contents are undefined at first. */
  scratch(dtype: DType, shape: readonly number[], rows?: Sym): Operand
  /**
   * Ranges of the outermost axis such that the part of each operand in a range fits one binding: one range, usually.
   * Planners launch once per range, on `partOf(operand, range)`.
   */
  ranges(operands: readonly Operand[]): readonly Range[]
  /** Whether a dispatch needs no more bindings than the device offers: weights in one buffer share some. */
  fits(dispatch: Dispatch): boolean
}

export interface Range {
  readonly start: number
  readonly count: number
}

/** The part of a weight: see {@link partOf}. */
export function partOfWeight(weight: WeightOf<Operand>, range: Range): WeightOf<Operand> {
  return mapWeight(weight, (operand) => partOf(operand, range))
}

/** The part of an operand that lies in a range of its outermost axis. */
export function partOf(operand: Operand, { start, count }: Range): Operand {
  return {
    ...operand,
    offset: operand.offset + start * operand.strides[0] * itemSize(operand.dtype),
    shape: [count, ...operand.shape.slice(1)],
  }
}

/** A grid of `n` workgroups that respects the limit per dimension; `workgroupIndex` recovers the index in the kernel. */
export function grid(n: number): [number, number, number] {
  const x = Math.min(n, 65535)
  return [x, Math.ceil(n / x), 1]
}

/** WGSL for the index of a workgroup in a {@link grid}, given `@builtin(workgroup_id) wid` and `@builtin(num_workgroups) nwg`. May exceed n. */
export const workgroupIndex = "(wid.x + wid.y * nwg.x)"

/** Stands for the memory of intermediate values, which moves when it grows: see `Workspace`. */
export class WorkspaceRef {
  constructor(readonly size: number) {}
}

/** Where an operand lies on the device. */
export interface Location {
  readonly buffer: GPUBuffer | WorkspaceRef
  readonly offset: number
  /** Written by some kernel of the program: then every binding of it must be read_write (WebGPU's usage scopes). */
  readonly mutable: boolean
}

/** A range of a buffer bound to a kernel. */
export interface Binding {
  readonly buffer: GPUBuffer | WorkspaceRef
  readonly offset: number
  readonly size: number
}

/** A dispatch with its text generated and its operands placed. */
export interface Assembled {
  readonly label: string
  readonly code: string
  readonly bindings: readonly Binding[]
  /** Of the uniform block; null for kernels that need none. */
  readonly params: Uint32Array<ArrayBuffer> | null
  /** The parameters that are told at each replay. */
  readonly perReplay: readonly { readonly word: number; readonly value: PerReplay<number> }[]
  readonly workgroups: Bindable<Workgroups>
  readonly bytes: number
}

interface Slot {
  type: ElementType
  buffer: GPUBuffer | WorkspaceRef
  start: number
  end: number
  mutable: boolean
}

export type Locate = (operand: Operand) => Location

type BindingLimits = Pick<GpuFeatures, "offsetAlignment" | "maxBinding" | "maxBindings">

/**
 * Bindings for views; see {@link assemble}. A binding each if the device offers as many: then most operands start where
 * their binding does, and a kernel need not wait for its parameters before it loads.
 */
export function placeViews(views: Dispatch["views"], locate: Locate, limits: BindingLimits) {
  const apart = bind(views, locate, limits, false)
  return apart.slots.length <= limits.maxBindings ? apart : bind(views, locate, limits, true)
}

function bind(
  views: Dispatch["views"],
  locate: Locate,
  { offsetAlignment: alignment, maxBinding }: BindingLimits,
  isShared: boolean,
) {
  const slots: Slot[] = []
  const placed = Object.entries(views).map(([name, { operand, type }]) => {
    const { buffer, offset, mutable } = locate(operand)
    const start = Math.floor(offset / alignment) * alignment
    const end = offset + extentBytes(operand)
    const fits = (slot: Slot) =>
      slot.buffer === buffer &&
      slot.type === type &&
      (mutable
        ? slot.start < end && start < slot.end
        : isShared && Math.max(slot.end, end) - Math.min(slot.start, start) <= maxBinding)
    let slot = slots.find(fits)
    if (!slot) {
      slot = { type, buffer, start, end, mutable }
      slots.push(slot)
    }
    slot.start = Math.min(slot.start, start)
    slot.end = Math.max(slot.end, end)
    return { name, slot, offset }
  })
  return { slots, placed }
}

/** Bytes of an operand's elements. */
export function operandBytes({ shape, dtype }: Operand): number {
  return sizeOf(shape) * itemSize(dtype)
}

/** Bytes from an operand's first to past its last, whatever its strides. */
export function extentBytes({ shape, strides, dtype }: Operand): number {
  const last = shape.reduce((sum, dim, axis) => sum + (dim - 1) * strides[axis], 0)
  return (last + 1) * itemSize(dtype)
}

/**
 * Generates the text of a dispatch. Where devices offer too few bindings, read-only operands of one type in one buffer
 * share them; mutable ones get a binding each, as ranges that overlap are not allowed.
 */
export function assemble(of: Dispatch, locate: Locate, limits: BindingLimits): Assembled {
  const { slots, placed } = placeViews(of.views, locate, limits)
  const params: Record<string, Param> = { ...of.params }
  const accessors: Record<string, Accessor> = {}
  for (const { name, slot, offset } of placed) {
    const { operand, type } = of.views[name]
    const start = offset - slot.start
    if (start > 0) params[`${name}_start`] = start
    accessors[name] = accessor(
      `b${slots.indexOf(slot)}`,
      start > 0 ? `params.${name}_start` : "0u",
      type,
      operand.dtype,
    )
  }
  const fields = Object.entries(params)
  const words = new Uint32Array(Math.max(4, fields.length))
  const floats = new Float32Array(words.buffer)
  const perReplay: { word: number; value: PerReplay<number> }[] = []
  fields.forEach(([, value], word) => {
    if (isFloat(value)) floats[word] = value.f32
    else words[word] = most(value)
    if (!isFloat(value) && isPerReplay(value)) perReplay.push({ word, value })
  })
  const body = of.code(accessors)
  // Layouts made from a text know no bindings that it leaves out.
  const usesParams = body.includes("params.")
  const declarations = slots.map(
    ({ type, mutable }, i) =>
      `@group(0) @binding(${i + 1}) var<storage, ${mutable ? "read_write" : "read"}> b${i}: array<${type}>;`,
  )
  const { texts, enable } = gather([...(of.uses ?? []), { text: body, enable: of.enable }])
  const code = [
    ...enable.map((extension) => `enable ${extension};`),
    // Kernels keep to whole groups of lanes by construction, which the analysis cannot see.
    enable.includes("subgroups") ? "diagnostic(off, subgroup_uniformity);" : "",
    ...(usesParams
      ? [
          "struct Params {",
          ...fields.map(([name, value]) => `  ${name}: ${isFloat(value) ? "f32" : "u32"},`),
          "}",
          "@group(0) @binding(0) var<uniform> params: Params;",
        ]
      : []),
    ...declarations,
    ...texts,
  ].join("\n")
  const bindings = slots.map(({ type, buffer, start, end }) => {
    const unit = Math.max(4, ELEMENT_BYTES[type])
    return { buffer, offset: start, size: Math.min(Math.ceil((end - start) / unit) * unit, buffer.size - start) }
  })
  return {
    label: of.label,
    code,
    bindings,
    params: usesParams ? words : null,
    perReplay: usesParams ? perReplay : [],
    workgroups: of.workgroups,
    bytes: of.bytes ?? 0,
  }
}

function isFloat(value: Param): value is { readonly f32: number } {
  return typeof value === "object" && "f32" in value
}

function accessor(array: string, byteStart: string, type: ElementType, dtype: DType): Accessor {
  const shift = Math.log2(ELEMENT_BYTES[type])
  const at = (i: string) => (byteStart === "0u" ? `${array}[${i}]` : `${array}[(${byteStart} >> ${shift}u) + (${i})]`)
  return { at, load: (i) => loadElement(array, byteStart, dtype, i) }
}

/** WGSL for element `i` of a dtype in an array of u32. */
function loadElement(array: string, byteStart: string, dtype: DType, i: string): string {
  const bits = loadBits(array, byteStart, itemSize(dtype), i)
  return isDense(dtype) ? denseOne(dtype, bits) : bits
}

function loadBits(array: string, byteStart: string, size: number, i: string): string {
  if (size === 4) return `${array}[(${byteStart} >> 2u) + (${i})]`
  const [shift, bits] = size === 2 ? [1, 16] : [0, 8]
  const perWord = 4 / size
  const index = shift === 0 ? `(${byteStart} + (${i}))` : `((${byteStart} >> ${shift}u) + (${i}))`
  return `extractBits(${array}[${index} >> ${2 - shift}u], ${bits}u * (${index} & ${perWord - 1}u), ${bits}u)`
}
