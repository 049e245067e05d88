/**
 * Why a command line cannot be obeyed, in one line that names the thing and the remedy. The program's name
 * is put in front where the message is printed.
 */
export class UsageError extends Error {
	override readonly name = "UsageError";
	/** What is to be said before: arguments that were ignored may be the reason. */
	readonly warnings: readonly string[];

	constructor(message: string, warnings: readonly string[] = []) {
		super(message);
		this.warnings = warnings;
	}
}
