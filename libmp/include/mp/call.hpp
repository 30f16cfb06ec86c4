// SPDX-License-Identifier: BSL-1.0
// call: a function and its arguments as a value that another process can run.
// Python:  functools.partial(fn, *args), once it is pickled.
// Differs: nothing is registered and arguments are checked when compiling; a lambda
//          travels too, if it captures nothing. Functions of a program started again
//          from the same file are found; another build is BinaryMismatch.
// Threads: any; a Call is a value.
// Read next: mp/detail/call_traits.hpp, mp/detail/call_thunk.hpp, docs/concepts/call.md
#pragma once

#include "mp/detail/call_thunk.hpp"

#include <boost/serialization/access.hpp>

#include <cstddef>
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
/// serialised; serialised data of strangers must not be run, because it names code.
class Call {
public:
    /// Nothing to call.
    Call() = default;

    /// A call from its bytes(), as a trusted peer sent them.
    explicit Call(std::span<const std::byte> bytes);

    explicit operator bool() const noexcept { return !bytes_.empty(); }

    /// Makes the call here, with a fresh copy of the arguments, and drops its result.
    /// Throws what the function throws; BinaryMismatch or SerializationError if this
    /// process is no run of the same program; StateError if there is nothing to call.
    void operator()() const;

    /// The function's name, for messages.
    std::string name() const;

    std::span<const std::byte> bytes() const noexcept;

private:
    friend class boost::serialization::access;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& bytes_;
    }

    std::vector<unsigned char> bytes_;
};

/// fn(args...), to be made later or elsewhere: `.initializer = mp::call(connect,
/// "db")`. Arguments are converted to the parameters' types and copied now. Throws what
/// their serialize() throws.
template <class Fn = detail::OverloadedName<>, class... Args>
Call call(Fn&& fn, Args&&... args) {
    detail::ByteWriter bytes;
    detail::encode_call<detail::CallResult::dropped>(
        bytes, fn, std::forward<Args>(args)...
    );
    return Call(bytes.data());
}

}  // namespace mp
