/** The names that several processes contend for, and what they write. */

export const contendedFiles = ["f0", "f1", "f2", "f3", "f4", "f5"] as const;
export const contendedDirectories = ["d0", "d1", "d2"] as const;

/** One of these is what a file holds, whole. */
export function contentOf(writer: number): string {
	return `written by ${writer} `.repeat(50);
}
