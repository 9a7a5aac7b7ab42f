/* Shared by args.c (parsing) and args_help.c (help, man page, completion). */
#ifndef MIM_CORE_ARGS_INTERNAL_H
#define MIM_CORE_ARGS_INTERNAL_H

#include "core/args.h"

/* The flags every program has, ended by a NULL name. */
extern const mim_flag mim_common_flags[];

#endif
