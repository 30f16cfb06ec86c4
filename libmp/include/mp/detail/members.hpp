// SPDX-License-Identifier: BSL-1.0
// The members of a struct of n: what initialises it, of which types they are, and each
// in turn. The language has no other way than to write each number out.
// Python:  none, because an object has a dictionary.
// Threads: any; nothing here exists at run time.
#pragma once

#include <cstddef>

namespace mp::detail {

template <class... Ts>
struct TypeList {
    static constexpr std::size_t size = sizeof...(Ts);
};

/// A struct of more members asks for a serialize().
inline constexpr std::size_t max_members = 100;

/// The types of a struct's members, constants or not.
template <bool has_bit_field, class... Ts>
struct MemberList {
    static constexpr bool bit_field = has_bit_field;
    using Types = TypeList<Ts...>;
};

// A bit-field can be passed to the first only; the second is never called.
template <bool has_bit_field, class... Ts>
MemberList<has_bit_field, Ts...> list_members(const Ts&...) {
    return {};
}

template <class... Ts>
void refer_to(Ts&...);

/// A struct of n members.
template <std::size_t n>
struct Members;

template <>
struct Members<0> {
    template <class T, class... More>
    static constexpr bool initialise = requires {
        T{More()...};
    };

    template <class T>
    static MemberList<false> list(T&);

    template <class T, class F>
    static void pass(T&, F f) {
        f();
    }
};

// clang 14 takes no structured binding in a constraint; it refuses bit-fields itself,
// where they are passed on.
#if defined(__clang__) && __clang_major__ < 16
#define MP_DETAIL_HAS_BIT_FIELD(...) false
#else
#define MP_DETAIL_HAS_BIT_FIELD(...)                                                   \
    !requires {                                                                        \
        refer_to(__VA_ARGS__);                                                         \
    }
#endif

// clang-format off
#define MP_DETAIL_MEMBERS(tens, ones)                                                  \
    template <>                                                                        \
    struct Members<10 * tens + ones> {                                                 \
        /* T can be written as T{{}, {}, ..., More()...}. */                           \
        template <class T, class... More>                                              \
        static constexpr bool initialise =                                             \
            requires { T{MP_DETAIL_BRACES_##tens MP_DETAIL_BRACES_OF_##ones More()...}; }; \
                                                                                       \
        template <class T>                                                             \
        static auto list(T& value) {                                                   \
            auto& [MP_DETAIL_TENS_##tens MP_DETAIL_ONES_##ones] = value;               \
            constexpr bool bit_field = MP_DETAIL_HAS_BIT_FIELD(                        \
                MP_DETAIL_TENS_##tens MP_DETAIL_ONES_##ones                            \
            );                                                                         \
            return list_members<bit_field>(                                            \
                MP_DETAIL_TENS_##tens MP_DETAIL_ONES_##ones                            \
            );                                                                         \
        }                                                                              \
                                                                                       \
        template <class T, class F>                                                    \
        static void pass(T& value, F f) {                                              \
            auto& [MP_DETAIL_TENS_##tens MP_DETAIL_ONES_##ones] = value;               \
            f(MP_DETAIL_TENS_##tens MP_DETAIL_ONES_##ones); /* bit-fields need a serialize() */ \
        }                                                                              \
    };
#define MP_DETAIL_TEN_MEMBERS(tens)                                                    \
    MP_DETAIL_MEMBERS(tens, 1) MP_DETAIL_MEMBERS(tens, 2) MP_DETAIL_MEMBERS(tens, 3)   \
    MP_DETAIL_MEMBERS(tens, 4) MP_DETAIL_MEMBERS(tens, 5) MP_DETAIL_MEMBERS(tens, 6)   \
    MP_DETAIL_MEMBERS(tens, 7) MP_DETAIL_MEMBERS(tens, 8) MP_DETAIL_MEMBERS(tens, 9)   \
    MP_DETAIL_MEMBERS(tens, 10)

#define MP_DETAIL_BRACES_OF_1 {},
#define MP_DETAIL_BRACES_OF_2 MP_DETAIL_BRACES_OF_1 {},
#define MP_DETAIL_BRACES_OF_3 MP_DETAIL_BRACES_OF_2 {},
#define MP_DETAIL_BRACES_OF_4 MP_DETAIL_BRACES_OF_3 {},
#define MP_DETAIL_BRACES_OF_5 MP_DETAIL_BRACES_OF_4 {},
#define MP_DETAIL_BRACES_OF_6 MP_DETAIL_BRACES_OF_5 {},
#define MP_DETAIL_BRACES_OF_7 MP_DETAIL_BRACES_OF_6 {},
#define MP_DETAIL_BRACES_OF_8 MP_DETAIL_BRACES_OF_7 {},
#define MP_DETAIL_BRACES_OF_9 MP_DETAIL_BRACES_OF_8 {},
#define MP_DETAIL_BRACES_OF_10 MP_DETAIL_BRACES_OF_9 {},
#define MP_DETAIL_BRACES_0
#define MP_DETAIL_BRACES_1 MP_DETAIL_BRACES_OF_10
#define MP_DETAIL_BRACES_2 MP_DETAIL_BRACES_1 MP_DETAIL_BRACES_OF_10
#define MP_DETAIL_BRACES_3 MP_DETAIL_BRACES_2 MP_DETAIL_BRACES_OF_10
#define MP_DETAIL_BRACES_4 MP_DETAIL_BRACES_3 MP_DETAIL_BRACES_OF_10
#define MP_DETAIL_BRACES_5 MP_DETAIL_BRACES_4 MP_DETAIL_BRACES_OF_10
#define MP_DETAIL_BRACES_6 MP_DETAIL_BRACES_5 MP_DETAIL_BRACES_OF_10
#define MP_DETAIL_BRACES_7 MP_DETAIL_BRACES_6 MP_DETAIL_BRACES_OF_10
#define MP_DETAIL_BRACES_8 MP_DETAIL_BRACES_7 MP_DETAIL_BRACES_OF_10
#define MP_DETAIL_BRACES_9 MP_DETAIL_BRACES_8 MP_DETAIL_BRACES_OF_10
#define MP_DETAIL_BRACES_10 MP_DETAIL_BRACES_9 MP_DETAIL_BRACES_OF_10
#define MP_DETAIL_ONES_1 n0
#define MP_DETAIL_ONES_2 MP_DETAIL_ONES_1, n1
#define MP_DETAIL_ONES_3 MP_DETAIL_ONES_2, n2
#define MP_DETAIL_ONES_4 MP_DETAIL_ONES_3, n3
#define MP_DETAIL_ONES_5 MP_DETAIL_ONES_4, n4
#define MP_DETAIL_ONES_6 MP_DETAIL_ONES_5, n5
#define MP_DETAIL_ONES_7 MP_DETAIL_ONES_6, n6
#define MP_DETAIL_ONES_8 MP_DETAIL_ONES_7, n7
#define MP_DETAIL_ONES_9 MP_DETAIL_ONES_8, n8
#define MP_DETAIL_ONES_10 MP_DETAIL_ONES_9, n9
#define MP_DETAIL_TENS_0
#define MP_DETAIL_TENS_1 \
    m0, m1, m2, m3, m4, m5, m6, m7, m8, m9,
#define MP_DETAIL_TENS_2 \
    MP_DETAIL_TENS_1 m10, m11, m12, m13, m14, m15, m16, m17, m18, m19,
#define MP_DETAIL_TENS_3 \
    MP_DETAIL_TENS_2 m20, m21, m22, m23, m24, m25, m26, m27, m28, m29,
#define MP_DETAIL_TENS_4 \
    MP_DETAIL_TENS_3 m30, m31, m32, m33, m34, m35, m36, m37, m38, m39,
#define MP_DETAIL_TENS_5 \
    MP_DETAIL_TENS_4 m40, m41, m42, m43, m44, m45, m46, m47, m48, m49,
#define MP_DETAIL_TENS_6 \
    MP_DETAIL_TENS_5 m50, m51, m52, m53, m54, m55, m56, m57, m58, m59,
#define MP_DETAIL_TENS_7 \
    MP_DETAIL_TENS_6 m60, m61, m62, m63, m64, m65, m66, m67, m68, m69,
#define MP_DETAIL_TENS_8 \
    MP_DETAIL_TENS_7 m70, m71, m72, m73, m74, m75, m76, m77, m78, m79,
#define MP_DETAIL_TENS_9 \
    MP_DETAIL_TENS_8 m80, m81, m82, m83, m84, m85, m86, m87, m88, m89,

MP_DETAIL_TEN_MEMBERS(0)
MP_DETAIL_TEN_MEMBERS(1)
MP_DETAIL_TEN_MEMBERS(2)
MP_DETAIL_TEN_MEMBERS(3)
MP_DETAIL_TEN_MEMBERS(4)
MP_DETAIL_TEN_MEMBERS(5)
MP_DETAIL_TEN_MEMBERS(6)
MP_DETAIL_TEN_MEMBERS(7)
MP_DETAIL_TEN_MEMBERS(8)
MP_DETAIL_TEN_MEMBERS(9)

/// Only to see that there are too many.
template <>
struct Members<max_members + 1> {
    template <class T>
    static constexpr bool initialise =
        requires { T{MP_DETAIL_BRACES_10 MP_DETAIL_BRACES_OF_1}; };
};

#undef MP_DETAIL_BRACES_OF_1
#undef MP_DETAIL_BRACES_OF_2
#undef MP_DETAIL_BRACES_OF_3
#undef MP_DETAIL_BRACES_OF_4
#undef MP_DETAIL_BRACES_OF_5
#undef MP_DETAIL_BRACES_OF_6
#undef MP_DETAIL_BRACES_OF_7
#undef MP_DETAIL_BRACES_OF_8
#undef MP_DETAIL_BRACES_OF_9
#undef MP_DETAIL_BRACES_OF_10
#undef MP_DETAIL_BRACES_0
#undef MP_DETAIL_BRACES_1
#undef MP_DETAIL_BRACES_2
#undef MP_DETAIL_BRACES_3
#undef MP_DETAIL_BRACES_4
#undef MP_DETAIL_BRACES_5
#undef MP_DETAIL_BRACES_6
#undef MP_DETAIL_BRACES_7
#undef MP_DETAIL_BRACES_8
#undef MP_DETAIL_BRACES_9
#undef MP_DETAIL_BRACES_10
#undef MP_DETAIL_ONES_1
#undef MP_DETAIL_ONES_2
#undef MP_DETAIL_ONES_3
#undef MP_DETAIL_ONES_4
#undef MP_DETAIL_ONES_5
#undef MP_DETAIL_ONES_6
#undef MP_DETAIL_ONES_7
#undef MP_DETAIL_ONES_8
#undef MP_DETAIL_ONES_9
#undef MP_DETAIL_ONES_10
#undef MP_DETAIL_TENS_0
#undef MP_DETAIL_TENS_1
#undef MP_DETAIL_TENS_2
#undef MP_DETAIL_TENS_3
#undef MP_DETAIL_TENS_4
#undef MP_DETAIL_TENS_5
#undef MP_DETAIL_TENS_6
#undef MP_DETAIL_TENS_7
#undef MP_DETAIL_TENS_8
#undef MP_DETAIL_TENS_9
#undef MP_DETAIL_MEMBERS
#undef MP_DETAIL_TEN_MEMBERS
#undef MP_DETAIL_HAS_BIT_FIELD
// clang-format on

}  // namespace mp::detail
