// The errors of the tree: one list, one enum, 0 is fine.
// Any thread.
#pragma once

#define MUST_USE __attribute__((warn_unused_result))

/* Of a large local that is written before it is read, as far as it is: the compiler is told to set all others to zero. */
#define UNSET __attribute__((uninitialized))

/* name, text for people */
#define ERR_LIST(X)                                                       \
	X(ERR_NONE, "no error")                                           \
	X(ERR_SHORT, "the input ends too early")                          \
	X(ERR_LONG, "the input is longer than allowed")                   \
	X(ERR_SYNTAX, "the input is not well formed")                     \
	X(ERR_RANGE, "a value is outside its range")                      \
	X(ERR_UNSUPPORTED, "the input asks for something not supported")  \
	X(ERR_VERSION, "the version is not one this program knows")       \
	X(ERR_NOTFOUND, "there is no such thing")                         \
	X(ERR_EXISTS, "it is already there")                              \
	X(ERR_CONFLICT, "somebody else changed it first")                 \
	X(ERR_AUTH, "the integrity or authentication check failed")       \
	X(ERR_DENIED, "not permitted")                                    \
	X(ERR_FULL, "no room is left")                                    \
	X(ERR_AGAIN, "not now, try again")                                \
	X(ERR_AWAY, "the other side is away")                             \
	X(ERR_UNKNOWN_OUTCOME, "it may or may not have happened")         \
	X(ERR_COMPACTED, "the history asked for is gone, list again")     \
	X(ERR_TIMEOUT, "time ran out")                                    \
	X(ERR_MEMORY, "out of memory")                                    \
	X(ERR_CRYPTO, "the crypto library refused")                       \
	X(ERR_SYSTEM, "a system call failed")                             \
	X(ERR_CLOSED, "the other side closed the connection")

#define ERR_ENUM(name, text) name,
enum err { ERR_LIST(ERR_ENUM) ERR_COUNT };
#undef ERR_ENUM

/* The text for an error, never NULL; also for numbers that are none. */
const char *err_text(enum err e);
