/* SPDX-License-Identifier: Apache-2.0
 *
 * Which function runs which op on the host, and what is refused. Ordinary ops are here because
 * tensors of strings come to the host; devices run them for every other dtype.
 */
#include "host/host_call.h"

#include <stddef.h>

/* Op numbers, from the table: backend.h is not for this layer. */
enum {
#define FER_OP(number, ident, ...) OP_##ident = (number),
#include "ferrule/op_table.def"
#undef FER_OP
};

typedef struct row {
    uint32_t op;
    fer_status (*run)(feri_host_call *call);
    const char *refusal; /* where run is NULL */
} row;

static const row rows[] = {
    {OP_If,                 feri_host_if,                   NULL                                  },
    {OP_Loop,               feri_host_loop,                 NULL                                  },
    {OP_Scan,               feri_host_scan,                 NULL                                  },
    {OP_SequenceMap,        feri_host_sequence_map,         NULL                                  },
    {OP_SequenceConstruct,  feri_host_sequence_construct,   NULL                                  },
    {OP_SequenceEmpty,      feri_host_sequence_empty,       NULL                                  },
    {OP_SequenceAt,         feri_host_sequence_at,          NULL                                  },
    {OP_SequenceInsert,     feri_host_sequence_insert,      NULL                                  },
    {OP_SequenceErase,      feri_host_sequence_erase,       NULL                                  },
    {OP_SequenceLength,     feri_host_sequence_length,      NULL                                  },
    {OP_SplitToSequence,    feri_host_split_to_sequence,    NULL                                  },
    {OP_ConcatFromSequence, feri_host_concat_from_sequence, NULL                                  },
    {OP_Optional,           feri_host_optional,             NULL                                  },
    {OP_OptionalHasElement, feri_host_optional_has_element, NULL                                  },
    {OP_OptionalGetElement, feri_host_optional_get_element, NULL                                  },
    {OP_Identity,           feri_host_identity,             NULL                                  },
    {OP_Shape,              feri_host_shape,                NULL                                  },
    {OP_Size,               feri_host_size,                 NULL                                  },
    {OP_Equal,              feri_host_string_equal,         NULL                                  },
    {OP_Cast,               feri_host_string_cast,          NULL                                  },
    {OP_CastLike,           feri_host_string_cast,          NULL                                  },
    {OP_Compress,           feri_host_string_move,          NULL                                  },
    {OP_Concat,             feri_host_string_move,          NULL                                  },
    {OP_DepthToSpace,       feri_host_string_move,          NULL                                  },
    {OP_Expand,             feri_host_string_move,          NULL                                  },
    {OP_Flatten,            feri_host_string_move,          NULL                                  },
    {OP_Gather,             feri_host_string_move,          NULL                                  },
    {OP_GatherElements,     feri_host_string_move,          NULL                                  },
    {OP_GatherND,           feri_host_string_move,          NULL                                  },
    {OP_Pad,                feri_host_string_move,          NULL                                  },
    {OP_Reshape,            feri_host_string_move,          NULL                                  },
    {OP_ReverseSequence,    feri_host_string_move,          NULL                                  },
    {OP_ScatterElements,    feri_host_string_move,          NULL                                  },
    {OP_ScatterND,          feri_host_string_move,          NULL                                  },
    {OP_Slice,              feri_host_string_move,          NULL                                  },
    {OP_SpaceToDepth,       feri_host_string_move,          NULL                                  },
    {OP_Split,              feri_host_string_move,          NULL                                  },
    {OP_Squeeze,            feri_host_string_move,          NULL                                  },
    {OP_Tile,               feri_host_string_move,          NULL                                  },
    {OP_Transpose,          feri_host_string_move,          NULL                                  },
    {OP_Unsqueeze,          feri_host_string_move,          NULL                                  },
    {OP_Where,              feri_host_string_move,          NULL                                  },
    {OP_RegexFullMatch,     NULL,                           "'RegexFullMatch' is not yet there"   },
    {OP_StringConcat,       feri_host_string_concat,        NULL                                  },
    {OP_StringNormalizer,   feri_host_string_normalizer,    NULL                                  },
    {OP_StringSplit,        feri_host_string_split,         NULL                                  },
    {OP_TfIdfVectorizer,    NULL,                           "'TfIdfVectorizer' is not yet there"  },
    {OP_Unique,             NULL,                           "'Unique' of strings is not yet there"},
};

static const row *find_row(const feri_gnode *node) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].op == node->op->number) {
            return &rows[i];
        }
    }
    return NULL;
}

/* A reduction would add the indices that stand for strings. */
static int is_reducing_scatter(const feri_gnode *node) {
    if (node->op->number != OP_ScatterElements && node->op->number != OP_ScatterND) {
        return 0;
    }
    const char *how = feri_attr_string(node->attrs, node->attr_count, "reduction", "none");
    return how[0] != 'n';
}

const char *feri_host_refuses(const fer_graph *graph, const feri_gnode *node) {
    (void)graph;
    const row *found = find_row(node);
    if (!found) {
        return "the host has no code for this op on sequences, optionals or strings";
    }
    if (is_reducing_scatter(node)) {
        return "strings cannot be scattered with a reduction";
    }
    return found->run ? NULL : found->refusal;
}

fer_status feri_host_run(feri_host_call *call) {
    const feri_gnode *node = call->node;
    const row *found = find_row(node);
    const char *refusal = feri_host_refuses(call->graph, node);
    fer_status status =
        refusal ? feri_host_fail(call, FER_UNSUPPORTED, "%s", refusal) : found->run(call);
    for (uint32_t o = 0; status == FER_OK && o < node->output_count; o++) {
        if (feri_host_wants(call, o) && !call->outputs[o]) {
            status = feri_host_fail(call, FER_INTERNAL, "it gave no output %u", o);
        }
    }
    if (status == FER_OK) {
        return FER_OK;
    }
    feri_error_set_node(node->name);
    for (uint32_t o = 0; o < node->output_count; o++) {
        fer_value_release(call->outputs[o]);
        call->outputs[o] = NULL;
    }
    return status;
}
