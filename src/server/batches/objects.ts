/** What a file may be for. */
export const PURPOSES = ["assistants", "batch", "fine-tune", "vision", "user_data"] as const

/** An uploaded or a written file, as OpenAI's API tells it. Times are in seconds since 1970. */
export interface FileObject {
  readonly id: string
  readonly object: "file"
  readonly bytes: number
  readonly created_at: number
  readonly expires_at?: number
  readonly filename: string
  readonly purpose: (typeof PURPOSES)[number] | "batch_output"
  readonly status: "processed"
}

export interface BatchError {
  readonly code: string
  readonly message: string
  readonly param: string | null
  /** Of the input file, from 1. */
  readonly line: number | null
}

export interface BatchUsage {
  readonly input_tokens: number
  readonly input_tokens_details: { readonly cached_tokens: number }
  readonly output_tokens: number
  readonly output_tokens_details: { readonly reasoning_tokens: number }
  readonly total_tokens: number
}

/** A batch as OpenAI's API tells it; what is not known yet is left out. Times are in seconds since 1970. */
export interface BatchObject {
  readonly id: string
  readonly object: "batch"
  readonly endpoint: string
  /** Of its first request. */
  readonly model?: string
  readonly errors?: { readonly object: "list"; readonly data: readonly BatchError[] }
  readonly input_file_id: string
  readonly completion_window: string
  readonly status:
    | "validating"
    | "failed"
    | "in_progress"
    | "finalizing"
    | "completed"
    | "expired"
    | "cancelling"
    | "cancelled"
  readonly output_file_id?: string
  readonly error_file_id?: string
  readonly created_at: number
  readonly in_progress_at?: number
  readonly expires_at: number
  readonly finalizing_at?: number
  readonly completed_at?: number
  readonly failed_at?: number
  readonly expired_at?: number
  readonly cancelling_at?: number
  readonly cancelled_at?: number
  readonly request_counts: { readonly total: number; readonly completed: number; readonly failed: number }
  readonly usage?: BatchUsage
  readonly metadata: Readonly<Record<string, string>> | null
}

/** A batch as it is stored. */
export interface StoredBatch extends BatchObject {
  /** How it ends, once it is being ended, and the ids of the files being written: whoever begins again writes the same ones. */
  readonly ending?: { readonly status: Ending; readonly output: string; readonly error: string }
  /** Seconds that those files are kept; always if left out. */
  readonly keep_output?: number
}

export type Ending = "completed" | "expired" | "cancelled"

export const isFinished = ({ status }: BatchObject): boolean =>
  status === "completed" || status === "failed" || status === "expired" || status === "cancelled"

/** Seconds since 1970. */
export const now = (): number => Math.floor(Date.now() / 1000)

let last = 0

/** An id that nobody guesses. Later ones are greater, so that a list can go on behind one that is deleted. */
export function newId(prefix: "file-" | "batch_"): string {
  last = Math.max(last + 1, Date.now())
  const random = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0"))
  return `${prefix}${last.toString(16).padStart(12, "0")}${random.join("")}`
}
