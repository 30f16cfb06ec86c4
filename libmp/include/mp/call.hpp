// SPDX-License-Identifier: BSL-1.0
// call: a function and its arguments as a value that another process can run.
// Python:  functools.partial(fn, *args), once it is pickled.
// Differs: nothing is registered and arguments are checked when compiling; a lambda
//          travels too, if it captures nothing. Functions of a program started again
//          from the same file are found; another build is BinaryMismatch.
//          What processes share (a Queue, a Lock, a Connection ...) may be an argument:
//          the call carries it to whichever child is started with the call.
// Threads: any; a Call is a value.
// Owns:    duplicates of the descriptors of what it carries, together with its copies.
// Read next: mp/detail/call_traits.hpp, mp/detail/call_thunk.hpp, docs/concepts/call.md
#pragma once

#include "mp/detail/call_thunk.hpp"
#include "mp/detail/carried.hpp"

#include <boost/serialization/access.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace mp {

/// fn(args...) can run in another process and its result can come back. False for
/// lambdas with captures, std::function, std::bind, and for pointers, views and
/// std::ref as argument or result.
template <class Fn, class... Args>
concept Transportable =
    detail::CallTraits<Fn, Args...>::refusal_with_result == detail::Refusal::none;

/// As Transportable, for a call whose result is not wanted.
template <class Fn, class... Args>
concept TransportableTarget =
    detail::CallTraits<Fn, Args...>::refusal == detail::Refusal::none;

/// A call to be made in another process. Make one with mp::call(). It can be copied and
/// serialised; serialised data of strangers must not be run, because it names code. One
/// that carries what processes share is serialised only for a child that is being
/// started.
class Call {
public:
    /// Nothing to call.
    Call() = default;

    /// A call from its bytes(), as a trusted peer sent them. `carried` is what they do
    /// not hold.
    explicit Call(
        std::span<const std::byte> bytes,
        std::shared_ptr<const detail::Carried> carried = {},
        detail::CallOrigin origin = detail::CallOrigin::peer
    );

    explicit operator bool() const noexcept { return !bytes_.empty(); }

    /// Makes the call here, with a fresh copy of the arguments, and drops its result.
    /// Throws what the function throws; BinaryMismatch or SerializationError if this
    /// process is no run of the same program; StateError if there is nothing to call.
    void operator()() const;

    /// The function's name, for messages. Of a call that came as bytes it is "unknown"
    /// where the program and its shared libraries, as far as they are loaded, have no
    /// such function or have lost its name: what the bytes say is neither run nor
    /// loaded.
    std::string name() const;

    /// The function and its arguments, as they travel.
    std::span<const std::byte> bytes() const noexcept;

    /// For pools: what it carries beside its bytes, or null.
    const std::shared_ptr<const detail::Carried>& carried() const noexcept {
        return carried_;
    }

private:
    friend class boost::serialization::access;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& bytes_;
        std::vector<std::uint32_t> descriptors;
        if constexpr (Archive::is_saving::value) {
            descriptors = hand_over();
        }
        archive& descriptors;
        if constexpr (!Archive::is_saving::value) {
            origin_ = detail::CallOrigin::peer;
            take_over(descriptors);
        }
    }

    std::vector<std::uint32_t> hand_over() const;
    void take_over(const std::vector<std::uint32_t>& descriptors);

    std::vector<unsigned char> bytes_;
    std::shared_ptr<const detail::Carried> carried_;
    detail::CallOrigin origin_ = detail::CallOrigin::peer;
};

/// fn(args...), to be made later or elsewhere: `.initializer = mp::call(connect,
/// "db")`. Arguments are converted to the parameters' types and copied now; what
/// processes share stays shared. Throws what their serialize() throws.
template <class Fn, class... Args>
Call call(Fn&& fn, Args&&... args) {
    constexpr auto why = detail::CallTraits<const Fn&, Args...>::refusal;
    if constexpr (detail::accepts<why, Fn, Args...>()) {
        detail::CarryingScope scope;
        detail::ByteWriter bytes;
        detail::encode_call<detail::CallResult::dropped>(
            bytes, fn, std::forward<Args>(args)...
        );
        return Call(bytes.data(), scope.take(), detail::CallOrigin::here);
    } else {
        return Call();
    }
}

/// For an overloaded name, which has no type; see futures/detail/overloaded_name.hpp.
template <class T = void>
auto call(...) {
    return typename detail::NameTheOverload<T>::type();
}

#ifndef __clang__
template <
    class T = void,
    class... Args,
    class Name = typename detail::NameTheOverloadBefore<T, Args...>::type>
    requires std::same_as<Name, detail::Refused> Call call(Name&&, Args&&...);
#endif

}  // namespace mp
