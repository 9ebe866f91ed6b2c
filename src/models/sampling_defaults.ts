/**
 * How a model's publisher would have it sampled; what a caller says counts more. In a file of its own as it stands in the
 * published types, which shall not need those of files and streams.
 */
export interface SamplingDefaults {
  readonly temperature?: number
  readonly top_k?: number
  readonly top_p?: number
}
