/* SPDX-License-Identifier: Apache-2.0
 *
 * Hostile operands and attributes, each met three ways: as inputs of fixed dims, as inputs of open
 * dims, and as constants. What must be refused is, with a sentence that names the node; nothing
 * crashes, hangs, exceeds the budget or stays behind; and what is merely odd has its right answer.
 */
#include "program_kit.h"

#include <math.h>

enum { MOST = 8, BUDGET = 96 << 20 };

/* operands: blank-separated: 2x3 (f32 ramp), i4,-1 (i64 line), j4 (i32 line), s5 (i64 scalar),
 * f1,nan (f32 line), c2.5 (f32 scalar), b1,0 (bools), u255 (u8 line), _ (left out). attributes:
 * axis=7 strides=0,0 mode:linear (single numbers are ints, with a comma lists). */
typedef struct hostile {
    char wish; /* '!' must fail, '?' may, '=' must not */
    uint32_t outputs;
    const char *op;
    const char *operands;
    const char *attributes;
} hostile;

#define MAX "9223372036854775807"
#define MIN "-9223372036854775808"

static const hostile cases[] = {
  /* indices */
    {'!', 1, "Gather",                    "3 i3",                                     ""                                                 },
    {'!', 1, "Gather",                    "3 i-4",                                    ""                                                 },
    {'!', 1, "Gather",                    "3 i" MAX,                                  ""                                                 },
    {'!', 1, "Gather",                    "3 i" MIN,                                  ""                                                 },
    {'!', 1, "Gather",                    "3 j-2147483648",                           ""                                                 },
    {'!', 1, "Gather",                    "0x3 i0",                                   ""                                                 },
    {'!', 1, "Gather",                    "3 i0",                                     "axis=1"                                           },
    {'!', 1, "Gather",                    "3 i0",                                     "axis=" MIN                                        },
    {'!', 1, "GatherElements",            "3 i0,1,3",                                 ""                                                 },
    {'!', 1, "GatherElements",            "3 i0,1," MIN,                              ""                                                 },
    {'!', 1, "GatherElements",            "2x3 i0,1,3",                               ""                                                 },
    {'!', 1, "GatherND",                  "3 i3",                                     ""                                                 },
    {'!', 1, "GatherND",                  "3 i" MAX,                                  ""                                                 },
    {'!', 1, "GatherND",                  "3 i0,0",                                   ""                                                 },
    {'!', 1, "GatherND",                  "2x3 i0",                                   "batch_dims=" MAX                                  },
    {'!', 1, "ScatterElements",           "3 i3 1",                                   ""                                                 },
    {'!', 1, "ScatterElements",           "3 i" MIN " 1",                             "reduction:add"                                    },
    {'!', 1, "ScatterElements",           "3 i0,1 3",                                 ""                                                 },
    {'!', 1, "ScatterElements",           "3 i0 1",                                   "reduction:nonsense"                               },
    {'!', 1, "ScatterND",                 "3 i3 ",                                    ""                                                 },
    {'!', 1, "ScatterND",                 "3 i" MIN " c1",                            ""                                                 },
    {'!', 1, "ScatterND",                 "3 i0,0,0 c1",                              ""                                                 },
    {'?', 1, "Compress",                  "3 b1,1,1,1",                               "axis=0"                                           },
    {'!', 1, "Compress",                  "3 b1",                                     "axis=4"                                           },
    {'?', 1, "OneHot",                    "i99,-99," MAX "," MIN " s3 f0,1",          ""                                                 },
    {'!', 1, "OneHot",                    "i1 s-3 f0,1",                              ""                                                 },
    {'!', 1, "OneHot",                    "i1 s" MAX " f0,1",                         ""                                                 },
    {'!', 1, "OneHot",                    "i1 s3 f0,1,2",                             ""                                                 },
    {'!', 1, "OneHot",                    "i1 s3 f0,1",                               "axis=5"                                           },
 /* slices and sizes */
    {'=', 1, "Slice",                     "0 i-1 i-100 i0 i-1",                       ""                                                 },
    {'!', 1, "Slice",                     "5 i0 i5 i0 i0",                            ""                                                 },
    {'=', 1, "Slice",                     "5 i" MIN " i" MAX " i0 i1",                ""                                                 },
    {'=', 1, "Slice",                     "5 i" MAX " i" MIN " i0 i" MIN,             ""                                                 },
    {'=', 1, "Slice",                     "5 i" MAX " i" MIN " i0 i-1",               ""                                                 },
    {'=', 1, "Slice",                     "5 i0 i" MAX " i0 i" MAX,                   ""                                                 },
    {'!', 1, "Slice",                     "5 i0 i5 i1 i1",                            ""                                                 },
    {'!', 1, "Slice",                     "5 i0 i5 i" MIN " i1",                      ""                                                 },
    {'!', 1, "Slice",                     "5x5 i0,0 i5,5 i0,0",                       ""                                                 },
    {'!', 1, "Slice",                     "5 i0,0 i5",                                ""                                                 },
    {'!', 1, "Reshape",                   "2x3 i-1,-1",                               ""                                                 },
    {'!', 1, "Reshape",                   "2x3 i4,-1",                                ""                                                 },
    {'!', 1, "Reshape",                   "2x3 i-2,3",                                ""                                                 },
    {'!', 1, "Reshape",                   "2x3 i" MAX ",2",                           ""                                                 },
    {'!', 1, "Reshape",                   "2x3 i4611686018427387904,4",               ""                                                 },
    {'!', 1, "Reshape",                   "2x3 i4294967296,4294967296",               ""                                                 },
    {'!', 1, "Reshape",                   "2x3 i2,3,0",                               ""                                                 },
    {'!', 1, "Reshape",                   "2x3 i1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2,3",   ""                                                 },
    {'!', 1, "Reshape",                   "0x3 i0,-1",                                "allowzero=1"                                      },
    {'!', 1, "Expand",                    "3 i" MAX,                                  ""                                                 },
    {'!', 1, "Expand",                    "1 i" MAX "," MAX,                          ""                                                 },
    {'!', 1, "Expand",                    "1 i-1",                                    ""                                                 },
    {'!', 1, "Expand",                    "1 i1099511627776",                         ""                                                 },
    {'!', 1, "Expand",                    "3 i2",                                     ""                                                 },
    {'!', 1, "Tile",                      "3 i" MAX,                                  ""                                                 },
    {'!', 1, "Tile",                      "3 i-1",                                    ""                                                 },
    {'!', 1, "Tile",                      "3 i1099511627776",                         ""                                                 },
    {'!', 1, "Tile",                      "3 i1,1",                                   ""                                                 },
    {'=', 1, "Tile",                      "3 i0",                                     ""                                                 },
    {'!', 1, "ConstantOfShape",           "i1099511627776",                           ""                                                 },
    {'!', 1, "ConstantOfShape",           "i-1",                                      ""                                                 },
    {'!', 1, "ConstantOfShape",           "i" MAX "," MAX,                            ""                                                 },
    {'?', 1, "ConstantOfShape",           "i" MAX "," MAX ",0",                       ""                                                 },
    {'!', 1, "ConstantOfShape",           "i1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1",       ""                                                 },
    {'!', 1, "Range",                     "s0 s" MAX " s1",                           ""                                                 },
    {'!', 1, "Range",                     "s" MIN " s" MAX " s1",                     ""                                                 },
    {'!', 1, "Range",                     "s0 s5 s0",                                 ""                                                 },
    {'=', 1, "Range",                     "s0 s-5 s1",                                ""                                                 },
    {'?', 1, "Range",                     "s" MAX " s" MIN " s" MIN,                  ""                                                 },
    {'!', 1, "Range",                     "c0 cnan c1",                               ""                                                 },
    {'!', 1, "Range",                     "c0 cinf c1",                               ""                                                 },
    {'!', 1, "Range",                     "c0 c1 c0",                                 ""                                                 },
    {'!', 1, "Range",                     "c0 c1 c1e-30",                             ""                                                 },
    {'!', 1, "Pad",                       "3 i" MAX ",0",                             ""                                                 },
    {'!', 1, "Pad",                       "3 i" MAX "," MAX,                          ""                                                 },
    {'!', 1, "Pad",                       "3 i" MIN ",0",                             ""                                                 },
    {'!', 1, "Pad",                       "3 i-4,0",                                  ""                                                 },
    {'=', 1, "Pad",                       "3 i-2,-1",                                 ""                                                 },
    {'?', 1, "Pad",                       "3 i3,0",                                   "mode:reflect"                                     },
    {'!', 1, "Pad",                       "0 i1,0",                                   "mode:edge"                                        },
    {'?', 1, "Pad",                       "3 i1000,0",                                "mode:wrap"                                        },
    {'!', 1, "Pad",                       "3 i1,1 _ i1",                              ""                                                 },
    {'!', 1, "Pad",                       "3 i1,1,1",                                 ""                                                 },
    {'!', 1, "Pad",                       "3 i1,1",                                   "mode:nonsense"                                    },
    {'!', 1, "Resize",                    "2x3 _ _ i" MAX "," MAX,                    ""                                                 },
    {'!', 1, "Resize",                    "2x3 _ _ i-1,3",                            ""                                                 },
    {'!', 1, "Resize",                    "2x3 _ _ i3",                               ""                                                 },
    {'!', 1, "Resize",                    "2x3 _ fnan,1",                             ""                                                 },
    {'!', 1, "Resize",                    "2x3 _ finf,1",                             ""                                                 },
    {'!', 1, "Resize",                    "2x3 _ f-1,1",                              ""                                                 },
    {'!', 1, "Resize",                    "2x3 _ f0,1",                               ""                                                 },
    {'!', 1, "Resize",                    "2x3 _ f1e30,1",                            "mode:linear"                                      },
    {'!', 1, "Resize",                    "2x3 _ f1e18,1e18",                         ""                                                 },
    {'?', 1, "Resize",                    "2x3 _ f1e-30,1",                           "mode:cubic"                                       },
    {'!', 1, "Resize",                    "2x3 _ f2,2",                               "mode:nonsense"                                    },
    {'?',
     1,      "Resize",
     "2x3 fnan,nan,nan,nan f2,2",                                                     "coordinate_transformation_mode:tf_crop_and_resize"},
    {'?',
     1,      "Resize",
     "2x3 f0,0,1e30,1e30 f2,2",                                                       "coordinate_transformation_mode:tf_crop_and_resize"},
    {'!', 2, "TopK",                      "5 i-1",                                    ""                                                 },
    {'!', 2, "TopK",                      "5 i6",                                     ""                                                 },
    {'!', 2, "TopK",                      "5 i" MAX,                                  ""                                                 },
    {'=', 2, "TopK",                      "5 i0",                                     ""                                                 },
    {'!', 2, "TopK",                      "5 i1",                                     "axis=3"                                           },
    {'!', 2, "TopK",                      "5 i1,1",                                   ""                                                 },
    {'!', 2, "Split",                     "5 i-1,6",                                  ""                                                 },
    {'!', 2, "Split",                     "5 i" MAX "," MAX,                          ""                                                 },
    {'!', 2, "Split",                     "2x3 i" MIN ",0",                           ""                                                 },
    {'!', 2, "Split",                     "2x3 i4611686018427387904,0",               ""                                                 },
    {'!', 2, "Split",                     "5 i2,2",                                   ""                                                 },
    {'!', 2, "Split",                     "5",                                        "axis=9"                                           },
 /* axes and perms */
    {'!', 1, "Unsqueeze",                 "3 i5",                                     ""                                                 },
    {'!', 1, "Unsqueeze",                 "3 i0,0",                                   ""                                                 },
    {'!', 1, "Unsqueeze",                 "3 i" MIN,                                  ""                                                 },
    {'!', 1, "Unsqueeze",                 "3 i0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15", ""                                                 },
    {'!', 1, "Squeeze",                   "1x3 i1",                                   ""                                                 },
    {'!', 1, "Squeeze",                   "1x3 i" MAX,                                ""                                                 },
    {'!', 1, "Transpose",                 "2x3",                                      "perm=0,0"                                         },
    {'!', 1, "Transpose",                 "2x3",                                      "perm=5,1"                                         },
    {'?', 1, "Transpose",                 "2x3",                                      "perm=-1,0"                                        },
    {'!', 1, "Transpose",                 "2x3",                                      "perm=1,0,2"                                       },
    {'!', 1, "Concat",                    "2x3 2x3",                                  "axis=7"                                           },
    {'!', 1, "Concat",                    "2x3 2x3",                                  "axis=" MIN                                        },
    {'!', 1, "Concat",                    "2x3 2x4",                                  "axis=0"                                           },
    {'!', 1, "ReduceSum",                 "2x3 i9",                                   ""                                                 },
    {'!', 1, "ReduceSum",                 "2x3 i" MIN,                                ""                                                 },
    {'?', 1, "ReduceSum",                 "2x3 i0,0",                                 ""                                                 },
    {'!', 1, "ReduceMax",                 "2x3 i2",                                   ""                                                 },
    {'!', 1, "ArgMax",                    "2x3",                                      "axis=" MAX                                        },
    {'!', 1, "CumProd",                   "2x3 s-3",                                  ""                                                 },
    {'!', 1, "ReduceMax",                 "3 i1",                                     "keepdims=0"                                       },
    {'!', 1, "CumSum",                    "2x3 s9",                                   ""                                                 },
    {'!', 1, "CumSum",                    "2x3 s" MIN,                                ""                                                 },
    {'!', 1, "Softmax",                   "2x3",                                      "axis=2"                                           },
    {'!', 1, "Flatten",                   "2x3",                                      "axis=9"                                           },
    {'!', 1, "LayerNormalization",        "2x3 3",                                    "axis=2"                                           },
    {'=', 1, "Trilu",                     "3x3 s" MAX,                                ""                                                 },
    {'=', 1, "Trilu",                     "3x3 s" MIN,                                ""                                                 },
    {'!', 1, "Trilu",                     "3",                                        ""                                                 },
    {'=', 1, "Shape",                     "2x3",                                      "start=" MIN                                       },
    {'=', 1, "Shape",                     "2x3",                                      "end=" MAX                                         },
    {'!', 1, "DepthToSpace",              "1x4x2x2",                                  "blocksize=0"                                      },
    {'!', 1, "DepthToSpace",              "1x4x2x2",                                  "blocksize=" MAX                                   },
    {'!', 1, "DepthToSpace",              "1x4x2x2",                                  "blocksize=-2"                                     },
    {'!', 1, "SpaceToDepth",              "1x4x2x2",                                  "blocksize=0"                                      },
    {'!', 1, "SpaceToDepth",              "1x4x2x2",                                  "blocksize=4294967296"                             },
 /* windows */
    {'!', 1, "Conv",                      "1x1x5x5 1x1x3x3",                          "strides=0,1"                                      },
    {'!', 1, "Conv",                      "1x1x5x5 1x1x3x3",                          "strides=-1,1"                                     },
    {'!', 1, "Conv",                      "1x1x5x5 1x1x3x3",                          "dilations=0,1"                                    },
    {'!', 1, "Conv",                      "1x1x5x5 1x1x3x3",                          "dilations=" MAX ",1"                              },
    {'!', 1, "Conv",                      "1x1x5x5 1x1x3x3",                          "group=0"                                          },
    {'!', 1, "Conv",                      "1x1x5x5 1x1x3x3",                          "group=" MIN                                       },
    {'!', 1, "Conv",                      "1x3x5x5 1x1x3x3",                          "group=2"                                          },
    {'!', 1, "Conv",                      "1x1x5x5 1x1x3x3",                          "pads=" MAX "," MAX "," MAX "," MAX                },
    {'?', 1, "Conv",                      "1x1x5x5 1x1x3x3",                          "pads=-1,-1,-1,-1"                                 },
    {'!', 1, "Conv",                      "1x1x5x5 1x1x3x3",                          "pads=-9,-9,-9,-9"                                 },
    {'!', 1, "Conv",                      "1x1x5x5 1x1x3x3",                          "kernel_shape=2,2"                                 },
    {'!', 1, "Conv",                      "1x1x5x5 1x1x3x3",                          "auto_pad:nonsense"                                },
    {'!', 1, "Conv",                      "1x1x5x5 1x1x3x3",                          "auto_pad: pads=1,1,1,1"                           },
    {'!', 1, "Conv",                      "1x1x5x5 1x1x3x3 2",                        ""                                                 },
    {'!', 1, "Conv",                      "1x1x5x5 1x2x3x3",                          ""                                                 },
    {'!', 1, "Conv",                      "1x1x5x5 1x1x3x3",                          "strides=1"                                        },
    {'!', 1, "AveragePool",               "1x1x5x5",                                  ""                                                 },
    {'!', 1, "Mean",                      "_",                                        ""                                                 },
    {'!', 1, "Concat",                    "_",                                        ""                                                 },
    {'!', 1, "ConvTranspose",             "1x1x5x5 1x1x3x3",                          "strides=0,1"                                      },
    {'!', 1, "ConvTranspose",             "1x1x5x5 1x1x3x3",                          "strides=" MAX "," MAX                             },
    {'!', 1, "ConvTranspose",             "1x1x5x5 1x1x3x3",                          "output_padding=" MAX "," MAX                      },
    {'!', 1, "ConvTranspose",             "1x1x5x5 1x1x3x3",                          "output_shape=" MAX "," MAX                        },
    {'!', 1, "ConvTranspose",             "1x1x5x5 1x1x3x3",                          "group=0"                                          },
    {'!', 1, "MaxPool",                   "1x1x5x5",                                  "kernel_shape=0,1"                                 },
    {'!', 1, "MaxPool",                   "1x1x5x5",                                  "kernel_shape=" MAX "," MAX                        },
    {'!', 1, "MaxPool",                   "1x1x5x5",                                  "kernel_shape=2,2 strides=0,0"                     },
    {'!', 1, "MaxPool",                   "1x1x5x5",                                  "kernel_shape=2"                                   },
    {'!', 1, "MaxPool",                   "1x1x5x5",                                  ""                                                 },
    {'?', 2, "MaxPool",                   "1x1x5x5",                                  "kernel_shape=2,2 storage_order=99"                },
    {'!', 1, "AveragePool",               "1x1x5x5",                                  "kernel_shape=2,2 dilations=0,0"                   },
    {'?', 1, "AveragePool",               "1x1x5x5",                                  "kernel_shape=1,1 pads=9,9,9,9 count_include_pad=1"},
    {'!', 1, "GlobalAveragePool",         "5",                                        ""                                                 },
    {'!', 1, "LRN",                       "1x3x2x2",                                  "size=0"                                           },
    {'?', 1, "LRN",                       "1x3x2x2",                                  "size=" MAX                                        },
 /* recurrences, products, norms */
    {'!', 1, "LSTM",                      "2x1x4 1x8x4 1x8x2",                        "hidden_size=0"                                    },
    {'!', 1, "LSTM",                      "2x1x4 1x8x4 1x8x2",                        "hidden_size=" MAX                                 },
    {'!', 1, "LSTM",                      "2x1x4 1x8x4 1x8x3",                        "hidden_size=2"                                    },
    {'!', 1, "LSTM",                      "2x1x4 1x8x4 1x8x2 _ j99",                  "hidden_size=2"                                    },
    {'!', 1, "LSTM",                      "2x1x4 1x8x4 1x8x2 _ j-1",                  "hidden_size=2"                                    },
    {'!', 1, "GRU",                       "2x1x4 1x6x4 1x6x2",                        "hidden_size=-2"                                   },
    {'!', 1, "MatMul",                    "2x3 2x3",                                  ""                                                 },
    {'=', 1, "MatMul",                    "2x0 0x3",                                  ""                                                 },
    {'!', 1, "Gemm",                      "2x3 2x3",                                  ""                                                 },
    {'!', 1, "BatchNormalization",        "1x3x2 2 3 3 3",                            ""                                                 },
    {'!', 1, "InstanceNormalization",     "1x3x2 2 3",                                ""                                                 },
    {'!', 1, "GroupNormalization",        "1x3x2 3 3",                                "num_groups=0"                                     },
    {'!', 1, "GroupNormalization",        "1x3x2 3 3",                                "num_groups=2"                                     },
 /* numbers */
    {'=', 1, "Div",                       "i5," MIN "," MIN " i0,-1,0",               ""                                                 },
    {'=', 1, "Div",                       "j5,-2147483648 j0,-1",                     ""                                                 },
    {'=', 1, "Mod",                       "i5," MIN " i0,-1",                         ""                                                 },
    {'=', 1, "Mod",                       "j5,-2147483648 j0,-1",                     ""                                                 },
    {'=', 1, "Mod",                       "3 f0,0,nan",                               "fmod=1"                                           },
    {'?', 1, "Mod",                       "3 3",                                      ""                                                 },
    {'=', 1, "BitShift",                  "u1,255,3 u8,200,255",                      "direction:LEFT"                                   },
    {'=', 1, "BitShift",                  "u1,255,3 u8,200,255",                      "direction:RIGHT"                                  },
    {'!', 1, "BitShift",                  "u1 u1",                                    "direction:UP"                                     },
    {'=', 1, "Pow",                       "i2," MIN ",0 i" MAX ",3,-1",               ""                                                 },
    {'=', 1, "Abs",                       "i" MIN,                                    ""                                                 },
    {'=', 1, "Neg",                       "i" MIN,                                    ""                                                 },
    {'=', 1, "Mul",                       "i" MIN "," MAX " i" MIN "," MAX,           ""                                                 },
    {'=', 1, "Sub",                       "i" MIN "," MAX " i" MAX "," MIN,           ""                                                 },
    {'=', 1, "Cast",                      "fnan,inf,-inf,1e30,-1e30",                 "to=6"                                             },
    {'=', 1, "Cast",                      "fnan,inf,-inf,1e30,-1e30",                 "to=2"                                             },
    {'=', 1, "Cast",                      "fnan,inf,-inf,1e30,-1e30",                 "to=13"                                            },
    {'=', 1, "Cast",                      "fnan,inf,-inf,1e30,-1e30",                 "to=21"                                            },
    {'!', 1, "Cast",                      "3",                                        "to=999"                                           },
    {'!', 1, "Cast",                      "3",                                        "to=" MIN                                          },
    {'=', 1, "QuantizeLinear",            "fnan,inf,-inf c0 ",                        ""                                                 },
    {'?', 1, "QuantizeLinear",            "2x3 f1,1 u0,0",                            "axis=9"                                           },
    {'!', 1, "DequantizeLinear",          "u1,2,3 f1,1 u0,0",                         "axis=0"                                           },
    {'?', 1, "QuantizeLinear",            "4 f1,1 u0,0",                              "axis=0 block_size=4611686018427387904"            },
    {'!', 1, "QuantizeLinear",            "4 f1,1 u0,0",                              "axis=0 block_size=-1"                             },
    {'=', 1, "Clip",                      "3 c5 c-5",                                 ""                                                 },
    {'=', 1, "CumSum",                    "i" MAX "," MAX " s0",                      ""                                                 },
    {'=', 1, "ReduceSum",                 "i" MAX "," MAX,                            ""                                                 },
    {'=', 1, "ReduceProd",                "i" MAX "," MAX,                            ""                                                 },
    {'=', 1, "ReduceMean",                "i" MIN "," MIN,                            ""                                                 },
    {'?', 1, "ReduceMax",                 "0",                                        ""                                                 },
    {'!', 1, "ArgMax",                    "0",                                        ""                                                 },
    {'?', 1, "Softmax",                   "2x0",                                      ""                                                 },
 /* host ops */
    {'!', 1, "StringSplit",               "3",                                        ""                                                 },
    {'!', 1, "SplitToSequence",           "5 i-1,6",                                  ""                                                 },
    {'!', 1, "SplitToSequence",           "5 s0",                                     ""                                                 },
    {'?', 1, "SplitToSequence",           "5 s" MAX,                                  ""                                                 },
    {'!', 1, "SplitToSequence",           "5 i" MAX "," MAX,                          ""                                                 },
    {'!', 1, "SplitToSequence",           "5",                                        "axis=4"                                           },
 /* later tiers: right, or not there yet */
    {'?', 1, "NonMaxSuppression",         "1x2x4 1x1x2 i" MAX " fnan",                ""                                                 },
    {'?', 1, "NonMaxSuppression",         "1x2x4 1x1x2 i-1",                          "center_point_box=9"                               },
    {'?', 1, "ReverseSequence",           "2x3 i99,-1,0",                             ""                                                 },
    {'?', 1, "RoiAlign",                  "1x1x3x3 1x4 i99",                          "output_height=" MAX                               },
    {'?', 1, "RoiAlign",                  "1x1x3x3 1x4 i-1",                          "sampling_ratio=" MAX                              },
    {'?', 1, "GridSample",                "1x1x3x3 1x2x2x2",                          "mode:cubic"                                       },
    {'?', 1, "MaxUnpool",                 "1x1x2x2 i9",                               "kernel_shape=0,0"                                 },
    {'?', 1, "Einsum",                    "2x3 3x4",                                  "equation:ij,jk->zz"                               },
    {'?', 1, "Einsum",                    "2x3 3x4",                                  "equation:...........,ij->i"                       },
    {'?', 1, "EyeLike",                   "3x3",                                      "k=" MIN                                           },
    {'=', 4, "Unique",                    "0",                                        ""                                                 },
    {'?', 1, "Unique",                    "fnan,nan,0",                               "axis=9"                                           },
    {'?', 1, "Col2Im",                    "1x4x4 i" MAX ",4 i2,2",                    "strides=0,0"                                      },
    {'?', 1, "HannWindow",                "s" MAX,                                    ""                                                 },
    {'?', 1, "HannWindow",                "s-1",                                      ""                                                 },
    {'?', 1, "DFT",                       "1x4x1 s" MAX,                              ""                                                 },
    {'?', 1, "STFT",                      "1x8x1 s0 _ s0",                            ""                                                 },
    {'?', 1, "STFT",                      "1x8x1 s1 _ s" MAX,                         ""                                                 },
    {'?', 1, "MelWeightMatrix",           "s" MAX " s" MAX " s0 cnan c1",             ""                                                 },
    {'?', 1, "DeformConv",                "1x1x3x3 1x1x2x2 1x8x2x2",                  "offset_group=0"                                   },
    {'?', 1, "CenterCropPad",             "3x3 i" MAX "," MIN,                        ""                                                 },
    {'?', 1, "TensorScatter",             "1x3x2 1x9x2 i99",                          "axis=" MIN                                        },
    {'?', 1, "Upsample",                  "2x3 fnan,0",                               ""                                                 },
    {'?', 1, "ImageDecoder",              "u1,2,3",                                   ""                                                 },
    {'?', 1, "RotaryEmbedding",           "1x2x3x4 3x2 3x2 i99",                      "num_heads=0"                                      },
    {'?', 1, "Attention",                 "1x2x4 1x2x4 1x2x4",                        "q_num_heads=3 kv_num_heads=0"                     },
    {'?', 1, "AffineGrid",                "1x2x3 i1,1," MAX "," MAX,                  ""                                                 },
    {'?', 1, "Bernoulli",                 "fnan,2,-1",                                ""                                                 },
    {'?', 1, "Multinomial",               "fnan,nan",                                 "sample_size=" MAX                                 },
    {'?', 1, "NegativeLogLikelihoodLoss", "1x3 i99",                                  "ignore_index=" MIN                                },
    {'?', 1, "TfIdfVectorizer",           "i1,2",                                     "max_gram_length=" MAX " mode:TF"                  },
};

/* ---- reading the table ---- */

static uint64_t numbers_read(const char *text, double *reals, int64_t *wholes) {
    uint64_t count = 0;
    while (*text != 0) {
        char *end = NULL;
        reals[count] = strtod(text, &end);
        wholes[count] = strtoll(text, NULL, 10);
        assert_true(end != text && count < 32);
        count++;
        text = *end == ',' ? end + 1 : end;
    }
    return count;
}

static fer_tensor *operand_read(fer_context *context, const char *text) {
    double reals[33];
    int64_t wholes[33], dims[8], count = 0;
    fer_tensor *tensor = NULL;
    uint32_t rank = 0;
    if (text[0] >= '0' && text[0] <= '9') {
        for (char *end = NULL; *text != 0; text = *end == 'x' ? end + 1 : end) {
            dims[rank++] = strtoll(text, &end, 10);
        }
        return ramp(context, rank, dims, -1, 0.5f);
    }
    count = (int64_t)numbers_read(text + 1, reals, wholes);
    rank = text[0] == 's' || text[0] == 'c' ? 0 : 1;
    fer_dtype dtype = text[0] == 'i' || text[0] == 's'   ? FER_I64
                      : text[0] == 'f' || text[0] == 'c' ? FER_F32
                      : text[0] == 'j'                   ? FER_I32
                      : text[0] == 'u'                   ? FER_U8
                                                         : FER_BOOL;
    tensor = tensor_of(context, dtype, rank, &count, NULL);
    for (int64_t i = 0; i < count; i++) {
        uint8_t *at = (uint8_t *)fer_tensor_data(tensor);
        float real = (float)reals[i];
        int32_t narrow = (int32_t)wholes[i];
        uint8_t byte = (uint8_t)wholes[i];
        const void *from = dtype == FER_I64   ? (const void *)&wholes[i]
                           : dtype == FER_F32 ? (const void *)&real
                           : dtype == FER_I32 ? (const void *)&narrow
                                              : &byte;
        size_t bytes = fer_dtype_bits(dtype) / 8;
        memcpy(at + (size_t)i * bytes, from, bytes);
    }
    return tensor;
}

static uint32_t attrs_read(char *text, fer_attr *attrs, int64_t (*lists)[32]) {
    uint32_t count = 0;
    double reals[33];
    char *rest = text;
    for (char *word; (word = strtok_r(rest, " ", &rest)) != NULL; count++) {
        size_t name = strcspn(word, "=:");
        char kind = word[name];
        word[name] = 0;
        char *value = word + name + 1;
        if (kind == ':') {
            attrs[count] = text_attr(word, value);
            continue;
        }
        uint32_t length = (uint32_t)numbers_read(value, reals, lists[count]);
        attrs[count] = strchr(value, ',') != NULL ? ints_attr(word, length, lists[count])
                                                  : int_attr(word, lists[count][0]);
    }
    return count;
}

/* ---- one way of meeting a case ---- */

enum { AS_INPUTS, AS_OPEN_INPUTS, AS_CONSTANTS, WAYS };

static fer_status
graph_make(fer_context *context, const hostile *h, int way, fer_tensor **in, fer_graph **out) {
    char text[256], attributes[256];
    fer_value_id ids[MOST], made[4];
    fer_attr attrs[4];
    int64_t lists[4][32];
    uint32_t count = 0, given = 0;
    fer_graph *graph = *out = new_graph(context);
    snprintf(text, sizeof(text), "%s", h->operands);
    snprintf(attributes, sizeof(attributes), "%s", h->attributes);
    char *rest = text;
    for (char *word; (word = strtok_r(rest, " ", &rest)) != NULL; count++) {
        ids[count] = FER_NO_VALUE;
        if (word[0] == '_') {
            continue;
        }
        fer_tensor *tensor = operand_read(context, word);
        if (way == AS_CONSTANTS) {
            ids[count] = add_constant(graph, tensor);
            continue;
        }
        int64_t dims[8];
        char name[8];
        for (uint32_t d = 0; d < fer_tensor_rank(tensor); d++) {
            dims[d] = way == AS_OPEN_INPUTS ? -1 : fer_tensor_dims(tensor)[d];
        }
        snprintf(name, sizeof(name), "i%u", given);
        OK(fer_graph_add_input(graph,
                               name,
                               fer_tensor_dtype(tensor),
                               fer_tensor_rank(tensor),
                               dims,
                               NULL,
                               &ids[count]));
        in[given++] = tensor;
    }
    fer_node_desc desc = {.struct_size = sizeof(desc),
                          .name = "victim",
                          .op = h->op,
                          .input_count = count,
                          .inputs = ids,
                          .attrs = attrs,
                          .attr_count = attrs_read(attributes, attrs, lists),
                          .output_count = h->outputs};
    fer_status status = fer_graph_add_node(graph, &desc, made);
    for (uint32_t o = 0; o < h->outputs && status == FER_OK; o++) {
        char name[8];
        snprintf(name, sizeof(name), "o%u", o);
        status = fer_graph_add_output(graph, name, made[o]);
    }
    return status == FER_OK ? fer_graph_finish(graph) : status;
}

static uint64_t in_use(fer_context *context) {
    uint64_t now = 0;
    fer_context_memory(context, &now, NULL);
    return now;
}

/* FNV-1a over dims and contents: equal answers have equal sums. */
static uint64_t sum_up(uint64_t sum, const void *data, uint64_t bytes) {
    for (uint64_t i = 0; i < bytes; i++) {
        sum = (sum ^ ((const uint8_t *)data)[i]) * UINT64_C(1099511628211);
    }
    return sum;
}

static uint64_t answer(const fer_value *value, uint64_t sum) {
    const fer_tensor *tensor = fer_value_tensor(value);
    if (tensor == NULL) {
        return sum;
    }
    sum = sum_up(sum, fer_tensor_dims(tensor), fer_tensor_rank(tensor) * sizeof(int64_t));
    return sum_up(sum, fer_tensor_data(tensor), fer_tensor_bytes(tensor));
}

static fer_status meet(fer_context *context, const hostile *h, int way, uint64_t *out_sum) {
    fer_tensor *in[MOST] = {NULL};
    fer_value *values[MOST] = {NULL}, *out[4] = {NULL, NULL, NULL, NULL};
    fer_graph *graph = NULL;
    fer_program *program = NULL;
    fer_status status = graph_make(context, h, way, in, &graph);
    if (status == FER_OK) {
        status = fer_program_compile(context, graph, NULL, &program);
    }
    for (uint32_t i = 0; i < MOST && in[i] != NULL; i++) {
        OK(fer_value_from_tensor(in[i], &values[i]));
    }
    for (int again = 0; again < 2 && program != NULL; again++) {
        fer_run_options options = {.struct_size = sizeof(options),
                                   .deadline_ns = UINT64_C(20000000000)};
        fer_status before = status;
        status = fer_program_run_values(
            program, &options, values, fer_program_input_count(program), out, h->outputs);
        assert_true(again == 0 || (status == FER_OK) == (before == FER_OK));
        for (uint32_t o = 0; o < h->outputs; o++) {
            assert_int_equal(out[o] != NULL, status == FER_OK);
            *out_sum = out[o] == NULL ? 0 : answer(out[o], o == 0 ? 99 : *out_sum);
            fer_value_release(out[o]);
            out[o] = NULL;
        }
    }
    fer_program_release(program);
    fer_graph_release(graph);
    for (uint32_t i = 0; i < MOST; i++) {
        fer_value_release(values[i]);
        fer_tensor_release(in[i]);
    }
    return status;
}

static const char *const way_names[] = {"inputs", "open inputs", "constants"};

static int judge(fer_context *context, const hostile *h, int way, uint64_t *sums) {
    uint64_t before = in_use(context);
    fer_status status = meet(context, h, way, &sums[way]);
    const fer_error *error = fer_error_last();
    const char *wrong = NULL;
    if (in_use(context) != before) {
        wrong = "memory stayed behind";
    } else if (status == FER_OK) {
        wrong = h->wish == '!'                           ? "was not refused"
                : h->wish == '=' && sums[way] != sums[0] ? "has another answer"
                                                         : NULL;
    } else if (h->wish == '=') {
        wrong = "was refused";
    } else if (status == FER_DEADLINE || status == FER_INTERNAL || status == FER_NOT_READY ||
               status == FER_DEVICE_LOST || status == FER_CANCELLED) {
        wrong = "failed in the wrong way";
    } else if (strstr(error->message, "victim") == NULL && strcmp(error->node, "victim") != 0) {
        wrong = "was refused without the node's name";
    } else if (strstr(error->message, "results and attributes do not fit") != NULL) {
        wrong = "was refused without saying what is wrong"; /* what a kernel tells a bad host */
    }
    if (wrong != NULL) {
        print_error("%s(%s) %s as %s %s: %s: %s [%s]\n",
                    h->op,
                    h->operands,
                    h->attributes,
                    way_names[way],
                    wrong,
                    fer_status_name(status),
                    status == FER_OK ? "" : error->message,
                    status == FER_OK ? "" : error->node);
    }
    return wrong != NULL;
}

static void hostile_operands(void **state) {
    (void)state;
    counted memory;
    fer_context_options options = counted_options(&memory);
    fer_budget budget = {.struct_size = sizeof(budget), .device = "host", .bytes = BUDGET};
    options.budgets = &budget;
    options.budget_count = 1;
    fer_context *context = NULL;
    OK(fer_context_create(&options, &context));
    uint32_t wrong = 0;
    uint64_t sum = 0;
    OK(meet(context, &(hostile){'=', 1, "Neg", "3", ""}, AS_INPUTS, &sum)); /* opens devices */
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        uint64_t sums[WAYS] = {0};
        for (int way = 0; way < WAYS; way++) {
            wrong += (uint32_t)judge(context, &cases[i], way, sums);
        }
    }
    uint64_t peak = 0;
    fer_context_memory(context, NULL, &peak);
    assert_true(peak <= BUDGET);
    fer_context_release(context);
    assert_all_back(&memory);
    assert_int_equal(wrong, 0);
}

/* ---- budgets ---- */

static fer_context *poor_context(counted *memory, uint64_t bytes) {
    fer_context_options options = counted_options(memory);
    fer_budget budget = {.struct_size = sizeof(budget), .device = "host", .bytes = bytes};
    options.budgets = &budget;
    options.budget_count = 1;
    fer_context *context = NULL;
    OK(fer_context_create(&options, &context));
    return context;
}

/* 4 MB between two nodes do not fit into 2: at compile time where dims are known, else in the run,
 * and smaller inputs run all the same. */
static void budgets_name_the_peak(void **state) {
    (void)state;
    for (int is_open = 0; is_open < 2; is_open++) {
        counted memory;
        fer_context *context = poor_context(&memory, 2 << 20);
        fer_graph *graph = new_graph(context);
        fer_value_id x = add_input(graph, "x", FER_F32, 2, (int64_t[]){is_open ? -1 : 1024, 1}),
                     row = 0;
        fer_value_id wide = add_weight(context, graph, 2, (int64_t[]){1, 1024});
        fer_node_desc big = {
            .struct_size = sizeof(big),
            .name = "outer",
            .op = "MatMul",
            .input_count = 2,
            .inputs = (fer_value_id[]){x, wide},
            .output_count = 1
        };
        OK(fer_graph_add_node(graph, &big, &row));
        fer_value_id axes = add_i64s(context, graph, 2, (int64_t[]){0, 1});
        fer_value_id soft = add_one(graph, "Softmax", row);
        OK(fer_graph_add_output(graph, "y", add_two(graph, "ReduceSum", soft, axes)));
        OK(fer_graph_finish(graph));
        fer_program *program = NULL;
        fer_status status = fer_program_compile(context, graph, NULL, &program);
        if (is_open) {
            OK(status);
            fer_tensor *in = ramp(context, 2, (int64_t[]){1024, 1}, 0, 0), *out = NULL;
            for (int again = 0; again < 2; again++) {
                REFUSED(fer_program_run(program, NULL, &in, 1, &out, 1),
                        FER_BUDGET,
                        "'outer' 4194304 bytes");
                assert_null(out);
            }
            fer_tensor_release(in);
            in = ramp(context, 2, (int64_t[]){8, 1}, 0, 0);
            OK(fer_program_run(program, NULL, &in, 1, &out, 1));
            assert_true(fabsf(*(float *)fer_tensor_data(out) - 8) < 1e-4f);
            fer_tensor_release(in);
            fer_tensor_release(out);
        } else {
            REFUSED(status, FER_BUDGET, "'outer' 4194304 bytes");
            assert_null(program);
        }
        uint64_t peak = 0;
        fer_context_memory(context, NULL, &peak);
        assert_true(peak <= 2 << 20);
        fer_program_release(program);
        fer_graph_release(graph);
        fer_context_release(context);
        assert_all_back(&memory);
    }
}

/* A context that has less than it needs says so wherever it ends, and gives all back. */
static void any_budget_is_kept(void **state) {
    (void)state;
    int was_ok = 0;
    for (uint64_t bytes = 1024; bytes < 4 << 20 && was_ok < 3; bytes += bytes / 16) {
        counted memory;
        fer_context_options options = counted_options(&memory);
        fer_budget budget = {.struct_size = sizeof(budget), .device = "host", .bytes = bytes};
        options.budgets = &budget;
        options.budget_count = 1;
        fer_context *context = NULL;
        fer_status status = fer_context_create(&options, &context);
        uint64_t sum = 0;
        fer_graph *graph = NULL;
        fer_program *program = NULL;
        fer_tensor *in = NULL, *out = NULL;
        fer_value_id x = 0, y = 0;
        fer_node_desc node = {.struct_size = sizeof(node),
                              .op = "LogSoftmax",
                              .input_count = 1,
                              .inputs = &x,
                              .output_count = 1};
#define STEP(call) status = status == FER_OK ? (call) : status
        STEP(fer_graph_create(context, &graph));
        STEP(fer_graph_add_input(graph, "x", FER_F32, 1, (int64_t[]){-1}, NULL, &x));
        STEP(fer_graph_add_node(graph, &node, &y));
        STEP(fer_graph_add_output(graph, "y", y));
        STEP(fer_graph_finish(graph));
        STEP(fer_program_compile(context, graph, NULL, &program));
        STEP(fer_tensor_create(context, FER_F32, 1, (int64_t[]){4000}, &in));
        STEP(fer_program_run(program, NULL, &in, 1, &out, 1));
#undef STEP
        if (status == FER_OK) {
            sum = (uint64_t)(((float *)fer_tensor_data(out))[3999] * -1000);
            assert_int_equal(sum, 8294); /* ln 4000 */
            was_ok++;
        } else {
            REFUSED(status, FER_BUDGET, "budget");
            assert_int_equal(was_ok, 0);
        }
        assert_true(atomic_load(&memory.bytes) <= (int64_t)bytes + 4096); /* the context itself */
        fer_tensor_release(in);
        fer_tensor_release(out);
        fer_program_release(program);
        fer_graph_release(graph);
        fer_context_release(context);
        assert_all_back(&memory);
    }
    assert_int_equal(was_ok, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_operands),
        cmocka_unit_test(budgets_name_the_peak),
        cmocka_unit_test(any_budget_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
