import type { Role } from "./op_spec.js"
import type { WeightOf } from "./type.js"

/** Operands by name, whatever the operation. */
export type AnyOperands<T> = Readonly<Record<string, T | WeightOf<T> | readonly WeightOf<T>[] | undefined>>

const COMPONENTS = ["weight", "scales", "biases", "bias"] as const

/** What an operand is: itself, or a component of a weight. */
export type Component = "value" | (typeof COMPONENTS)[number]

/** What each operand of an operation is, by name. */
export type Roles = Readonly<Record<string, Role>>

/** An operand's name in the description of its operation, and what component of it this is. */
export interface Place {
  readonly name: string
  readonly component: Component
}

/** The components of a weight that are there, in order. */
export function listComponents<T>(
  weight: WeightOf<T>,
): { readonly component: Exclude<Component, "value">; readonly value: T }[] {
  return COMPONENTS.flatMap((component) => {
    const value = weight[component]
    return value === undefined ? [] : [{ component, value }]
  })
}

/** As {@link listComponents}, without their names. */
export function componentsOf<T>(weight: WeightOf<T>): T[] {
  return listComponents(weight).map(({ value }) => value)
}

/** The same weight of other things. */
export function mapWeight<T, U>(weight: WeightOf<T>, map: (value: T, component: Component) => U): WeightOf<U> {
  const mapped: Record<string, unknown> = { quantization: weight.quantization }
  for (const component of COMPONENTS) {
    const value = weight[component]
    if (value !== undefined) mapped[component] = map(value, component)
  }
  return mapped as unknown as WeightOf<U>
}

/** The same operands of other things, in the order of the description. */
export function mapOperands<T, U>(
  roles: Roles,
  operands: AnyOperands<T>,
  map: (value: T, place: Place) => U,
): AnyOperands<U> {
  const result: Record<string, U | WeightOf<U> | readonly WeightOf<U>[]> = {}
  for (const name in roles) {
    const operand = operands[name]
    if (operand === undefined) continue
    const role = roles[name]
    const mapComponents = (weight: WeightOf<T>) =>
      mapWeight(weight, (value, component) => map(value, { name, component }))
    if (role === "weight") result[name] = mapComponents(operand as WeightOf<T>)
    else if (role === "weights") result[name] = (operand as readonly WeightOf<T>[]).map(mapComponents)
    else result[name] = map(operand as T, { name, component: "value" })
  }
  return result
}

/** Every operand that is there, in the order of the description. */
export function listOperands<T>(roles: Roles, operands: AnyOperands<T>): (Place & { readonly operand: T })[] {
  const list: (Place & { readonly operand: T })[] = []
  mapOperands(roles, operands, (operand, { name, component }) => list.push({ name, component, operand }))
  return list
}
