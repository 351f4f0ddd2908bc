/* SPDX-License-Identifier: Apache-2.0
 *
 * Which function runs which op on the host, and what is refused. Ordinary ops are here because
 * tensors of strings come to the host; devices run them for every other dtype.
 */
#include "ferrule/op_selection.h"
#include "host/host_call.h"

#include <stddef.h>
#include <string.h>

/* Op numbers, from the table: backend.h is not for this layer. */
enum {
#define FER_OP(number, ident, ...) OP_##ident = (number),
#include "ferrule/op_table.def"
#undef FER_OP
};

typedef fer_status (*host_op)(feri_host_call *call);

/* clang-format off */
#define ROW(ident, run) FERI_OP_ROW(ident, {OP_##ident, run}, )
static const struct {
    uint32_t op;
    host_op run;
} rows[] = {
    ROW(If, feri_host_if)
    ROW(Loop, feri_host_loop)
    ROW(Scan, feri_host_scan)
    ROW(SequenceMap, feri_host_sequence_map)
    ROW(SequenceConstruct, feri_host_sequence_construct)
    ROW(SequenceEmpty, feri_host_sequence_empty)
    ROW(SequenceAt, feri_host_sequence_at)
    ROW(SequenceInsert, feri_host_sequence_insert)
    ROW(SequenceErase, feri_host_sequence_erase)
    ROW(SequenceLength, feri_host_sequence_length)
    ROW(SplitToSequence, feri_host_split_to_sequence)
    ROW(ConcatFromSequence, feri_host_concat_from_sequence)
    ROW(Optional, feri_host_optional)
    ROW(OptionalHasElement, feri_host_optional_has_element)
    ROW(OptionalGetElement, feri_host_optional_get_element)
    ROW(Identity, feri_host_identity)
    ROW(Shape, feri_host_shape)
    ROW(Size, feri_host_size)
    ROW(Equal, feri_host_string_equal)
    ROW(Cast, feri_host_string_cast)
    ROW(CastLike, feri_host_string_cast)
    ROW(Col2Im, feri_host_string_fold)
    ROW(ImageDecoder, feri_host_image_decoder)
    ROW(NonZero, feri_host_string_nonzero)
    ROW(RandomNormalLike, feri_host_string_nonzero)
    ROW(RandomUniformLike, feri_host_string_nonzero)
    ROW(RegexFullMatch, feri_host_string_regex)
    ROW(StringConcat, feri_host_string_concat)
    ROW(StringNormalizer, feri_host_string_normalizer)
    ROW(StringSplit, feri_host_string_split)
    ROW(TfIdfVectorizer, feri_host_tfidf)
    ROW(Unique, feri_host_string_unique)
    ROW(ml_CategoryMapper, feri_host_category_mapper)
    ROW(ml_LinearClassifier, feri_host_string_classifier)
    ROW(ml_SVMClassifier, feri_host_string_classifier)
    ROW(ml_TreeEnsembleClassifier, feri_host_string_classifier)
    ROW(ml_CastMap, feri_host_cast_map)
    ROW(ml_DictVectorizer, feri_host_dict_vectorizer)
    ROW(ml_ZipMap, feri_host_zip_map)
    ROW(ml_LabelEncoder, feri_host_label_encoder)
    ROW(ml_OneHotEncoder, feri_host_one_hot_encoder)
    {0}
};

/* What only moves elements. */
#define MOVES(ident) FERI_OP_ROW(ident, OP_##ident, )
static const uint16_t moving[] = {
    MOVES(CenterCropPad) MOVES(Compress) MOVES(Concat) MOVES(DepthToSpace) MOVES(Expand)
    MOVES(Flatten) MOVES(Gather) MOVES(GatherElements) MOVES(GatherND) MOVES(GridSample)
    MOVES(OneHot) MOVES(Pad) MOVES(Reshape) MOVES(Resize) MOVES(ReverseSequence)
    MOVES(ScatterElements) MOVES(ScatterND) MOVES(Slice) MOVES(SpaceToDepth) MOVES(Split)
    MOVES(Squeeze) MOVES(TensorScatter) MOVES(Tile) MOVES(Transpose) MOVES(Trilu) MOVES(Unsqueeze)
    MOVES(Where) MOVES(ml_ArrayFeatureExtractor) 0
};
/* clang-format on */

static host_op find_op(const feri_gnode *node) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].op == node->op->number) {
            return rows[i].run;
        }
    }
    for (size_t i = 0; i < sizeof moving / sizeof moving[0]; i++) {
        if (moving[i] == node->op->number) {
            return feri_host_string_move;
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

/* Between the numbers that stand for strings there is nothing. */
static int is_interpolation(const feri_gnode *node) {
    int is_sample = node->op->number == OP_GridSample;
    if (!is_sample && node->op->number != OP_Resize) {
        return 0;
    }
    const char *absent = is_sample ? "linear" : "nearest";
    return strcmp(feri_attr_string(node->attrs, node->attr_count, "mode", absent), "nearest") != 0;
}

const char *feri_host_refuses(const fer_graph *graph, const feri_gnode *node) {
    (void)graph;
    if (!find_op(node)) {
        return "the host has no code for this op on sequences, optionals or strings";
    }
    if (is_reducing_scatter(node)) {
        return "strings cannot be scattered with a reduction";
    }
    if (is_interpolation(node)) {
        return "strings cannot be interpolated; use mode nearest";
    }
    return NULL;
}

fer_status feri_host_run(feri_host_call *call) {
    const feri_gnode *node = call->node;
    const char *refusal = feri_host_refuses(call->graph, node);
    fer_status status =
        refusal ? feri_host_fail(call, FER_UNSUPPORTED, "%s", refusal) : find_op(node)(call);
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
