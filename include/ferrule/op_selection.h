/* SPDX-License-Identifier: Apache-2.0
 *
 * op_selection.h: which ops this build holds. Every table with a row per op (the kernels of
 * built-in backends, host ops, upgrades; the op table is packed by tools/pack_ops.py) puts each row
 * into FERI_OP_ROW; meson's option `ops` names a list of ops, and the header that
 * tools/select_ops.py makes from it defines FERI_WITHOUT_<ident> for all others. Their rows vanish,
 * and the linker drops what only they named. Not installed: outside this build there is nothing to
 * select.
 */
#ifndef FERRULE_OP_SELECTION_H
#define FERRULE_OP_SELECTION_H

#ifdef FERI_OP_SELECTION
#include FERI_OP_SELECTION
#endif

/* FERI_OP_ROW(Abs, {...},) is {...}, or nothing where FERI_WITHOUT_Abs is defined, as "~,". */
#define FERI_OP_ROW(ident, ...)                                                                    \
    FERI_OP_ROW_PICK(FERI_WITHOUT_##ident FERI_OP_ROW_DROP, FERI_OP_ROW_KEEP, ~)(__VA_ARGS__)
/* 1, or 0 where the op is left out: for code that is an op's own without a table. */
#define FERI_HAS_OP(ident) FERI_OP_ROW_PICK(FERI_WITHOUT_##ident 0, 1, ~)
#define FERI_OP_ROW_PICK(...) FERI_OP_ROW_SECOND(__VA_ARGS__)
#define FERI_OP_ROW_SECOND(first, second, ...) second
#define FERI_OP_ROW_KEEP(...) __VA_ARGS__
#define FERI_OP_ROW_DROP(...)

#endif
