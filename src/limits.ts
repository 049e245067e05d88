/** What whoever started the program does not allow the runtime, told from the errors that come of it. */

/** What is lacking and what to do about it; undefined where an error says nothing of the kind. */
export function whatIsLacking(error: unknown): string | undefined {
	if (!(error instanceof Error)) return undefined;
	// An Errno of ours has its name as its message.
	const names = [error.message, (error as NodeJS.ErrnoException).code];
	if (/requires the JIT|cannot reserve memory/.test(error.message)) return lackingMemory();
	if (names.includes("EMFILE") || names.includes("ENFILE"))
		return "too few files may be open: raise the limit (ulimit -n, LimitNOFILE= of a service)";
	if (names.includes("EAGAIN"))
		return "too few processes may run: raise the limit (ulimit -u, TasksMax= of a service)";
	return undefined;
}

/** The runtime reserves address space, and some of what it runs it makes. */
function lackingMemory(): string {
	for (const [name, command, setting] of [
		["Max address space", "ulimit -v", "LimitAS="],
		["Max data size", "ulimit -d", "LimitDATA="],
	] as const) {
		const bytes = limit(name);
		if (bytes !== undefined)
			return `3 GiB of address space are needed, most of it never used, and the limit is ${Math.floor(Number(bytes) / 1024)} KiB: raise it (${command} unlimited, ${setting} of a service)`;
	}
	return "the system refuses memory that is written and run, which the runtime needs: allow it (MemoryDenyWriteExecute= of a service, execmem of SELinux)";
}

/** A soft limit of this process; undefined where there is none. */
function limit(name: string): string | undefined {
	try {
		const [, soft] =
			new RegExp(`^${name} +(\\d+)`, "m").exec(
				process.getBuiltinModule("node:fs").readFileSync("/proc/self/limits", "latin1"),
			) ?? [];
		return soft;
	} catch {
		return undefined;
	}
}
