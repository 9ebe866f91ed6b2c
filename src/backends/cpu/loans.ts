import type { CpuBlock, SegmentedMemory } from "./memory.js"

/** Memory lent to the executables whose replays need so much. */
interface Loan {
  readonly block: CpuBlock
  borrowers: number
}

/** Memory for use during replays. Executables share it, since they run one at a time. */
export class Loans {
  private readonly loans: Loan[] = []

  constructor(private readonly memory: SegmentedMemory) {}

  /** @param taken what the borrower has already @throws BackendError when there is no room */
  borrow(byteLength: number, taken: readonly CpuBlock[], segment?: number): CpuBlock {
    const fits = ({ block }: Loan) =>
      block.byteLength >= byteLength && (segment === undefined || block.segment === segment) && !taken.includes(block)
    let loan = this.loans.find(fits)
    if (!loan) {
      loan = {
        block: this.memory.allocateWorking("the working memory of a program", byteLength, segment),
        borrowers: 0,
      }
      this.loans.push(loan)
    }
    loan.borrowers++
    return loan.block
  }

  giveBack(block: CpuBlock): void {
    const i = this.loans.findIndex((loan) => loan.block === block)
    if (--this.loans[i].borrowers > 0) return
    this.loans.splice(i, 1)
    this.memory.free(block)
  }
}
