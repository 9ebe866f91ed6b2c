/** A graph could not be built or lowered: shapes or dtypes that do not fit, named with the operation. */
export class GraphError extends Error {
  override readonly name = "GraphError"
}
