/** What a person or a log sees while tests run: plain lines, the same on a terminal and elsewhere. */
import type { Outcome, Run, Task } from "./lanes.ts";
import { noTests, sum, summary, type Totals } from "./report.ts";

const intervalMs = 15_000;

export class Progress implements Disposable {
	readonly #runs: readonly Run[];
	readonly #tasks: readonly Task[];
	readonly #start = Date.now();
	readonly #begun = new Map<Task, number>();
	readonly #ended = new Set<Task>();
	readonly #timer = setInterval(() => console.log(this.#line()), intervalMs);
	/** Of each run of which a file has begun. */
	readonly #totals = new Map<Run, Totals>();

	constructor(runs: readonly Run[], tasks: readonly Task[]) {
		this.#runs = runs;
		this.#tasks = tasks;
	}

	begin(task: Task): void {
		this.#begun.set(task, Date.now());
		if (this.#totals.has(task.run)) return;
		this.#totals.set(task.run, noTests);
		console.log(`\n== ${this.#where()}: ${task.run.title}`);
	}

	/** Shows what failed, and at the end of a run what came of it. */
	end(task: Task, { totals, complaint, output }: Outcome): void {
		const took = clock(Date.now() - (this.#begun.get(task) ?? 0));
		const { run } = task;
		this.#begun.delete(task);
		this.#ended.add(task);
		this.#totals.set(run, sum([this.#totals.get(run) ?? noTests, totals]));
		if (complaint !== undefined) {
			console.log(`\n-- ${run.title}: ${task.file} ${complaint} (${took})\n${output.trimEnd()}`);
			console.log(`-- end of ${task.file}: ${summary(totals)}\n`);
		}
		if (this.#tasks.some((other) => other.run === run && !this.#ended.has(other))) return;
		console.log(`${run.title}: ${summary(this.#totals.get(run) ?? noTests)}`);
		for (const remark of run.remarks ?? []) console.log(`  ${remark}`);
	}

	[Symbol.dispose](): void {
		clearInterval(this.#timer);
	}

	#where(): string {
		return `run ${this.#totals.size} of ${this.#runs.length}`;
	}

	#line(): string {
		const spent = Date.now() - this.#start;
		const running = [...this.#begun].map(([{ file }, since]) => `${file} (${clock(Date.now() - since)})`);
		return [
			`${clock(spent)} ${this.#where()}, ${this.#ended.size} of ${this.#tasks.length} files, ${summary(sum([...this.#totals.values()]))}`,
			this.#timeLeft(spent),
			`at work: ${running.join(", ")}`,
		].join("; ");
	}

	/** As fast as up to now, what is under way counting as half done. */
	#timeLeft(spent: number): string {
		const seconds = (tasks: Iterable<Task>) => [...tasks].reduce((all, task) => all + task.seconds, 0);
		const done = seconds(this.#ended) + seconds(this.#begun.keys()) / 2;
		const left = (spent * (seconds(this.#tasks) - done)) / done;
		return `about ${Math.ceil(left / 60_000)} min left`;
	}
}

/** Minutes and seconds. */
function clock(milliseconds: number): string {
	const seconds = Math.round(milliseconds / 1000);
	return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
