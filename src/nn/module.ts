import type { Weight } from "../array/mx.js"
import type { MxArray } from "../array/mx_array.js"
import type { Shape } from "../tensor/shape.js"

/** Where modules take their weights from, by checkpoint name. */
export interface WeightSource {
  /** The tensor of that name. @throws when it is missing (with the nearest names) or has another shape */
  take(name: string, shape: Shape): MxArray
  /** The weight at `path`, quantized or dense as the checkpoint has it, for logical shape `[..., N, K]`. @throws as `take` */
  takeWeight(path: string, shape: Shape): Weight
}

/** `inputLayernorm` -> `input_layernorm`: properties are named as in the checkpoint, in JavaScript's case. */
function checkpointName(property: string): string {
  return property.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

/**
 * A piece of a model. Its sub-modules are its properties; a weight's checkpoint name is the path of properties to it.
 * Leaf modules override `load` to take their own tensors.
 */
export abstract class Module {
  /** Takes all weights below this module from `source`. */
  load(source: WeightSource, path = ""): void {
    const prefix = path && `${path}.`
    for (const [property, child] of Object.entries(this)) {
      const name = prefix + checkpointName(property)
      if (child instanceof Module) child.load(source, name)
      else if (Array.isArray(child)) {
        child.forEach((item, i) => {
          if (item instanceof Module) item.load(source, `${name}.${i}`)
        })
      }
    }
  }
}
