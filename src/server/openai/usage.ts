/** OpenAI's `CompletionUsage`. */
export interface Usage {
  readonly prompt_tokens: number
  readonly completion_tokens: number
  readonly total_tokens: number
  readonly prompt_tokens_details: { readonly cached_tokens: number; readonly audio_tokens: 0 }
  readonly completion_tokens_details: {
    readonly reasoning_tokens: number
    readonly audio_tokens: 0
    readonly accepted_prediction_tokens: 0
    readonly rejected_prediction_tokens: 0
  }
}

/** What is counted of a sample. */
export interface Counted {
  readonly prompt_tokens: number
  readonly cached_tokens: number
  readonly completion_tokens: number
  readonly reasoning_tokens?: number
}

/** @param prompts the samples of each prompt, which counts once */
export function usageOf(prompts: readonly (readonly Counted[])[]): Usage {
  const sum = (numbers: readonly number[]) => numbers.reduce((total, n) => total + n, 0)
  const samples = prompts.flat()
  const prompt_tokens = sum(prompts.map(([first]) => first.prompt_tokens))
  const completion_tokens = sum(samples.map((sample) => sample.completion_tokens))
  return {
    prompt_tokens,
    completion_tokens,
    total_tokens: prompt_tokens + completion_tokens,
    prompt_tokens_details: {
      // Samples of a prompt find what the first of them computed: that was not cached before the request.
      cached_tokens: sum(prompts.map((samples) => Math.min(...samples.map(({ cached_tokens }) => cached_tokens)))),
      audio_tokens: 0,
    },
    completion_tokens_details: {
      reasoning_tokens: sum(samples.map(({ reasoning_tokens = 0 }) => reasoning_tokens)),
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  }
}
