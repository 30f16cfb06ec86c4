// SPDX-License-Identifier: BSL-1.0
// Thunks: the function that a call's bytes begin with. It is made by the compiler for
// each kind of call, decodes the arguments, calls, and encodes the result.
// Python:  the unpickling of (func, args, kwargs) and `func(*args, **kwargs)`.
// Differs: no lookup by name; the types are known here.
// Threads: any; one call's frame by one thread.
#pragma once

#include "mp/detail/call_traits.hpp"
#include "mp/detail/code_ref.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <tuple>
#include <utility>

namespace mp::detail {

/// How far a call has got, so that a handler of an exception knows whose it is.
enum class CallPhase : std::uint8_t {
    decode,    ///< reading the function and its arguments
    run,       ///< in the function
    encode,    ///< writing its result
    done,      ///< the result, if there is one, stands in `out`
    describe,  ///< asked for by call_name(): write the function's name, do not call it
};

/// Hears that a call is done, before what it used is destroyed: the callable, the
/// arguments, what it returned. That may run code of the program, which may end the
/// process.
class CallDone {
public:
    CallDone() = default;
    CallDone(const CallDone&) = delete;
    CallDone& operator=(const CallDone&) = delete;

    /// The result stands in `out`. Nothing is thrown after it.
    virtual void call_done() noexcept = 0;

protected:
    ~CallDone() = default;
};

struct CallFrame {
    ByteReader& in;
    ByteWriter& out;
    CallPhase phase = CallPhase::decode;
    CallDone* done = nullptr;  ///< to be told; null: nobody wants to know
};

inline void tell_done(CallFrame& frame) noexcept {
    frame.phase = CallPhase::done;
    if (frame.done != nullptr) {
        frame.done->call_done();
    }
}

/// Destroying them may run code of the program. What may throw there is part of the
/// call.
template <class... T>
inline constexpr bool ends_with_code = !(std::is_trivially_destructible_v<T> && ...) &&
                                       (std::is_nothrow_destructible_v<T> && ...);

using Thunk = void (*)(CallFrame&);

/// Whether a call's result is encoded or dropped.
enum class CallResult : bool { dropped, kept };

void write_member_function(ByteWriter& out, const void* pointer);
void read_member_function(ByteReader& in, void* pointer);
void describe_function(CallFrame& frame, const void* function);
void describe_function(CallFrame& frame, std::string_view name);
[[noreturn]] void throw_bytes_left_over(std::size_t left);

/// A value that may be a callable, and then travels as its code.
template <class T>
void write_value(ByteWriter& out, const T& value) {
    if constexpr (is_function_pointer<T>) {
        write_code_ref(out, reinterpret_cast<const void*>(value));
    } else if constexpr (std::is_member_function_pointer_v<T>) {
        write_member_function(out, &value);
    } else if constexpr (!is_stateless_closure<T>) {
        encode(out, value);
    }
}

template <class T>
T read_value(ByteReader& in) {
    if constexpr (is_function_pointer<T>) {
        // A function has no const.
        return reinterpret_cast<T>(const_cast<void*>(read_code_ref(in)));
    } else if constexpr (std::is_member_function_pointer_v<T>) {
        T pointer{};
        read_member_function(in, &pointer);
        return pointer;
    } else if constexpr (is_stateless_closure<T>) {
        return T();
    } else {
        return decode<T>(in);
    }
}

template <class T>
inline constexpr bool needs_archive =
    !travels_as_code<T> && !std::is_arithmetic_v<T> && !std::is_enum_v<T>;

/// Stands where no argument needs an archive.
struct NoArchive {
    explicit NoArchive(ByteWriter&) noexcept {}
    explicit NoArchive(ByteReader&) noexcept {}
};

/// All arguments go through one archive, if any needs one, so that two pointers to one
/// object are two pointers to one object on the other side as well.
template <class Archive, class... Stored>
using ArchiveFor =
    std::conditional_t<(needs_archive<Stored> || ...), Archive, NoArchive>;

template <class T, class Archive>
void write_argument(ByteWriter& out, Archive& archive, const T& value) {
    if constexpr (needs_archive<T>) {
        try {
            archive << value;
        } catch (...) {
            rethrow_encode_error(type_name<T>());
        }
    } else {
        write_value(out, value);
    }
}

/// Converts as a call in this process would; a value of the right type is not copied.
template <class Stored, class Archive, class Arg>
void write_converted(ByteWriter& out, Archive& archive, Arg&& arg) {
    using Plain = std::remove_cvref_t<Arg>;
    if constexpr (std::is_same_v<DecodedAs<Plain>, Stored>) {
        write_argument<Plain>(out, archive, arg);
    } else {
        write_argument<Stored>(
            out, archive, static_cast<Stored>(std::forward<Arg>(arg))
        );
    }
}

template <class... Stored, class... Args>
void write_arguments(ByteWriter& out, Args&&... args) {
    ArchiveFor<OutArchive, Stored...> archive(out);
    (write_converted<Stored>(out, archive, std::forward<Args>(args)), ...);
}

template <class T, class Archive>
void read_argument(ByteReader& in, Archive& archive, T& value) {
    if constexpr (needs_archive<T>) {
        try {
            archive >> value;
        } catch (...) {
            rethrow_decode_error(type_name<T>());
        }
    } else if constexpr (!is_stateless_closure<T>) {
        value = read_value<T>(in);
    }
}

/// Reads into their final place, because later arguments may point to earlier ones.
template <class... Stored>
void read_arguments(ByteReader& in, std::tuple<Stored...>& stored) {
    ArchiveFor<InArchive, Stored...> archive(in);
    std::apply(
        [&](Stored&... values) { (read_argument(in, archive, values), ...); }, stored
    );
    if constexpr ((needs_archive<Stored> || ...)) {
        ReadEnd::check(archive, stored, false);
    }
}

/// A class without state is made anew by the other side, even one that nobody can
/// archive (std::plus<>).
template <class Function>
inline constexpr bool is_made_anew =
    std::is_empty_v<Function>&& std::is_default_constructible_v<Function>;

template <class Function>
void write_function(ByteWriter& out, const Function& function) {
    if constexpr (!is_made_anew<Function>) {
        write_value(out, function);
    }
}

template <class Function>
Function read_function(ByteReader& in) {
    if constexpr (is_made_anew<Function>) {
        return Function();
    } else {
        return read_value<Function>(in);
    }
}

/// Calls with the decoded arguments, which are nobody else's and so are moved in.
template <class Function, class... Stored>
decltype(auto) invoke_stored(Function& function, std::tuple<Stored...>& stored) {
    if constexpr (called_with_rvalues<Function, Stored...>) {
        return std::apply(
            [&](Stored&... args) -> decltype(auto) {
                return std::invoke(function, std::move(args)...);
            },
            stored
        );
    } else {
        return std::apply(
            [&](auto& object, auto&... args) -> decltype(auto) {
                return std::invoke(function, object, std::move(args)...);
            },
            stored
        );
    }
}

/// The same; `then` gets the result, or nothing, while all that was used is still
/// there: in one expression with the call, at whose end its parameters are destroyed.
template <class Function, class... Stored, class Then>
void invoke_stored_then(
    Function& function, std::tuple<Stored...>& stored, const Then& then
) {
    constexpr bool is_void = std::is_void_v<decltype(invoke_stored(function, stored))>;
    if constexpr (std::is_member_pointer_v<Function>) {
        if constexpr (is_void) {
            invoke_stored(function, stored);
            then();
        } else {
            then(invoke_stored(function, stored));
        }
    } else {
        std::apply(
            [&](Stored&... args) {
                if constexpr (is_void) {
                    static_cast<void>((function(std::move(args)...), then()));
                } else {
                    then(function(std::move(args)...));
                }
            },
            stored
        );
    }
}

template <CallResult kept, class Function, class... Stored>
void call_thunk(CallFrame& frame) {
    if (frame.phase == CallPhase::describe) [[unlikely]] {
        if constexpr (is_function_pointer<Function>) {
            describe_function(frame, find_code_ref(frame.in));
        } else {
            describe_function(frame, type_name<Function>());
        }
        return;
    }
    frame.phase = CallPhase::decode;
    auto function = read_function<Function>(frame.in);
    auto stored = make_tuple_for_decoding<Stored...>();
    read_arguments(frame.in, stored);
    if (frame.in.left() != 0) [[unlikely]] {
        throw_bytes_left_over(frame.in.left());
    }
    frame.phase = CallPhase::run;
    using Returned = decltype(invoke_stored(function, stored));
    if constexpr (kept == CallResult::dropped) {
        static_cast<void>(invoke_stored(function, stored));
    } else if constexpr (std::is_void_v<Returned>) {
        if constexpr (ends_with_code<Function, Stored...>) {
            invoke_stored_then(function, stored, [&] { tell_done(frame); });
        } else {
            invoke_stored(function, stored);
        }
    } else if constexpr (ends_with_code<Returned, Function, Stored...>) {
        invoke_stored_then(function, stored, [&](const auto& result) {
            frame.phase = CallPhase::encode;
            write_value<std::decay_t<Returned>>(frame.out, result);
            tell_done(frame);
        });
    } else {
        const auto& result = invoke_stored(function, stored);
        frame.phase = CallPhase::encode;
        write_value<std::decay_t<Returned>>(frame.out, result);
    }
    frame.phase = CallPhase::done;
}

template <CallResult kept, class... Stored, class Fn, class... Args>
void encode_call_as(
    TypeList<Stored...>, ByteWriter& out, const Fn& fn, Args&&... args
) {
    using Function = std::decay_t<const Fn&>;
    const Thunk thunk = &call_thunk<kept, Function, Stored...>;
    write_code_ref(out, reinterpret_cast<const void*>(thunk));
    write_function<Function>(out, fn);
    write_arguments<Stored...>(out, std::forward<Args>(args)...);
}

/// Appends fn(args...) as bytes that run_call() runs in another run of this program.
/// The arguments stay as they are, rvalues too. Throws what a serialize() throws; then
/// `out` ends in half a call.
template <CallResult kept = CallResult::kept, class Fn, class... Args>
void encode_call(ByteWriter& out, const Fn& fn, Args&&... args) {
    using Traits = CallTraits<const Fn&, Args...>;
    constexpr Refusal why =
        kept == CallResult::kept ? Traits::refusal_with_result : Traits::refusal;
    if constexpr (accepts<why, Fn, Args...>()) {
        encode_call_as<kept>(
            typename Traits::Stored(), out, fn, std::forward<Args>(args)...
        );
    }
}

/// Runs the call that the rest of `in` holds and appends its result to `out`. Throws
/// what the call throws; frame.phase tells whether decoding, the function or encoding
/// threw, and `out` may then end in half a result. Only for bytes of a trusted peer:
/// they name the code that is called.
inline void run_call(CallFrame& frame) {
    const auto thunk =
        reinterpret_cast<Thunk>(const_cast<void*>(read_code_ref(frame.in)));
    thunk(frame);
}

/// The result that run_call() appended; R is the call's CallTraits<...>::Result, not
/// void.
template <class R>
R decode_result(ByteReader& in) {
    return read_value<R>(in);
}

/// Whose bytes a call is made of.
enum class CallOrigin : std::uint8_t {
    peer,  ///< they may name anything
    here,  ///< this process has written them
};

/// The name of the function that the call in `bytes` would call. A hint, for messages;
/// "unknown" where no module that is loaded here has it. Of a peer's bytes nothing
/// runs, and no file that they name is opened.
std::string call_name(std::span<const std::byte> bytes, CallOrigin origin);

}  // namespace mp::detail
