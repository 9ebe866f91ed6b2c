import { crc32 } from "../../cache/crc32.js"
import type { ServedModelInfo } from "../served_model.js"

/** What every chunk of an answer has. */
export interface Envelope {
  readonly id: string
  /** Seconds since 1970. */
  readonly created: number
  readonly model: string
  readonly system_fingerprint: string
}

/** @param prefix of the id, such as `chatcmpl` */
export function envelopeOf(prefix: string, info: ServedModelInfo, version: string): Envelope {
  return {
    id: `${prefix}-${crypto.randomUUID().replaceAll("-", "")}`,
    created: Math.floor(Date.now() / 1000),
    model: info.name,
    system_fingerprint: fingerprint(info, version),
  }
}

/** Changes with what the same seed may give other tokens on. */
function fingerprint({ name, backend, weight_bytes }: ServedModelInfo, version: string): string {
  const described = JSON.stringify([version, name, backend, weight_bytes])
  return `fp_${crc32(new TextEncoder().encode(described)).toString(16).padStart(8, "0")}`
}
