// SPDX-License-Identifier: BSL-1.0
// Target: what a Process runs, a callable and its arguments, and how it travels.
// Python:  BaseProcess._target, _args and _kwargs.
// Differs: under spawn and forkserver it travels as a call (see mp/call.hpp).
// Threads: one at a time.
#pragma once

#include "mp/call.hpp"
#include "mp/detail/bytes.hpp"
#include "mp/detail/local_call.hpp"

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace mp {

class BaseProcess;
struct ProcessOptions;

namespace detail {

/// A callable and its arguments, kept until the process runs them.
class Target {
public:
    virtual ~Target() = default;
    virtual void run() = 0;
    virtual void encode(ByteWriter& out) const = 0;
};

/// In the child: what encode() wrote. The call stays encoded until it runs, so `in`
/// must outlive the target.
std::unique_ptr<Target> decode_target(ByteReader& in);

/// Throws SpawnError{arguments}: `what` exists in this program image only.
[[noreturn]] void throw_cannot_travel(const std::string& what);

template <class Fn, class... Args>
class TypedTarget final : public Target {
public:
    template <class F, class... A>
    explicit TypedTarget(F&& fn, A&&... args)
        : fn_(std::forward<F>(fn)), args_(std::forward<A>(args)...) {}

    void run() override {
        std::apply(
            [this](Args&... args) { std::invoke(std::move(fn_), std::move(args)...); },
            args_
        );
    }

    void encode(ByteWriter& out) const override {
        if constexpr (TransportableTarget<const Fn&, const Args&...>) {
            std::apply(
                [&](const Args&... args) {
                    encode_call<CallResult::dropped>(out, fn_, args...);
                },
                args_
            );
        } else {
            constexpr Refusal why = CallTraits<const Fn&, const Args&...>::refusal;
            throw_cannot_travel(
                "the target or an argument of this process (" +
                std::string(refusal_text(why)) + ")"
            );
        }
    }

private:
    Fn fn_;
    std::tuple<Args...> args_;
};

template <class Fn>
concept NotOptions = !std::same_as<std::remove_cvref_t<Fn>, ProcessOptions> &&
                     !std::derived_from<std::remove_cvref_t<Fn>, BaseProcess>;

/// Nothing if the call cannot be made in this process; then accepts() says why.
template <class Fn, class... Args>
std::unique_ptr<Target> make_target(Fn&& fn, Args&&... args) {
    if constexpr (accepts<LocalCall<Fn, Args...>::refusal, Fn, Args...>()) {
        return std::make_unique<TypedTarget<std::decay_t<Fn>, std::decay_t<Args>...>>(
            std::forward<Fn>(fn), std::forward<Args>(args)...
        );
    } else {
        return nullptr;
    }
}

}  // namespace detail
}  // namespace mp
