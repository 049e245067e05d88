/** The client of sqlite_insert. Arguments: the database, which is made, and the number of transactions. */

import { Database } from "bun:sqlite";

const [path = "", count = ""] = process.argv.slice(2);
using database = new Database(path, { create: true });
database.run("PRAGMA journal_mode = DELETE");
database.run("PRAGMA synchronous = FULL");
database.run("CREATE TABLE entries (id INTEGER PRIMARY KEY, text TEXT)");
const insert = database.prepare("INSERT INTO entries (text) VALUES (?)");
for (let index = 0; index < Number(count); index++) insert.run(`entry number ${index}`);
