import { type Backend, BackendError } from "../backends/backend.js"
import { ReferenceBackend } from "../backends/reference/backend.js"

export interface BackendOptions {
  /** `auto` takes the fastest that runs here. */
  readonly device?: "auto" | "cpu" | "reference"
  /** Threads of `cpu`; one per core by default. */
  readonly threads?: number
  /** `fast` may round activations to int8, `exact` keeps them in float. */
  readonly precision?: "fast" | "exact"
}

/** Opens the backend that the options name. @throws {BackendError} when it cannot run here */
export async function openBackend({ device = "auto" }: BackendOptions): Promise<Backend> {
  if (device === "cpu") throw new BackendError("this build has no cpu backend: take --device reference")
  return new ReferenceBackend()
}
