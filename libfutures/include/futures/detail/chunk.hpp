// SPDX-License-Identifier: BSL-1.0
// Chunks: several items of a map() in one task.
// Python:  concurrent.futures.process._get_chunks, _process_chunk.
// Differs: an item that throws does not take the rest of its chunk with it.
// Threads: any; functions only.
#pragma once

#include "futures/detail/chunk_feed.hpp"
#include "futures/detail/limited_call.hpp"
#include "futures/submit_options.hpp"
#include "mp/call.hpp"
#include "mp/detail/code_ref.hpp"
#include "mp/remote_error.hpp"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <tuple>
#include <utility>
#include <vector>

namespace futures::detail {

enum class ItemEnd : std::uint8_t { value, exception };

/// What travels for the arguments of one item.
template <class Fn, class Item>
struct ChunkTraits;

template <class Fn, class... Args>
struct ChunkTraits<Fn, std::tuple<Args...>> {
    using Traits = mp::detail::CallTraits<const Fn&, Args...>;
    using Result = typename Traits::Result;
    using Stored = typename Traits::Stored;
};

/// Which exceptions an item is called again for, and how often.
struct ItemRetries {
    std::uint32_t retries = 0;
    RetryOn on = {};
};

/// Writes the outcome of one item: its end, then the value or exception. With the last
/// one the call is done.
template <class Fn, class... Stored>
void run_item(
    mp::detail::CallFrame& frame, Fn& fn, bool is_last, ItemRetries left = {}
) {
    const mp::detail::ByteReader arguments = frame.in;
    frame.phase = mp::detail::CallPhase::decode;
    std::tuple<Stored...> stored{};
    mp::detail::read_arguments(frame.in, stored);
    frame.phase = mp::detail::CallPhase::run;
    using Returned = decltype(mp::detail::invoke_stored(fn, stored));
    const std::size_t begin = frame.out.size();
    try {
        frame.out.put_value(ItemEnd::value);
        if constexpr (mp::detail::ends_with_code<Returned, Fn, Stored...>) {
            mp::detail::invoke_stored_then(fn, stored, [&](const auto&... result) {
                (mp::detail::write_value<std::decay_t<Returned>>(frame.out, result),
                 ...);
                if (is_last) {
                    mp::detail::tell_done(frame);
                }
            });
        } else if constexpr (std::is_void_v<Returned>) {
            mp::detail::invoke_stored(fn, stored);
        } else {
            const auto& result = mp::detail::invoke_stored(fn, stored);
            mp::detail::write_value<std::decay_t<Returned>>(frame.out, result);
        }
        return;
    } catch (...) {
        frame.out.truncate(begin);
        const std::exception_ptr thrown = limit_told(std::current_exception());
        if (left.retries == 0 || !left.on(thrown)) {
            frame.out.put_value(ItemEnd::exception);
            mp::detail::encode_exception(frame.out, thrown);
            return;
        }
    }
    --left.retries;
    frame.in = arguments;
    run_item<Fn, Stored...>(frame, fn, is_last, left);
}

/// What a chunk's bytes begin with: the function that runs it, as for any call.
template <class Fn, class... Stored>
void chunk_thunk(mp::detail::CallFrame& frame) {
    if (frame.phase == mp::detail::CallPhase::describe) [[unlikely]] {
        mp::detail::describe_function(frame, mp::detail::type_name<Fn>());
        return;
    }
    auto fn = mp::detail::read_function<Fn>(frame.in);
    const auto items = frame.in.get_value<std::uint64_t>();
    for (std::uint64_t i = 0; i < items; ++i) {
        run_item<Fn, Stored...>(frame, fn, i + 1 == items);
    }
    frame.phase = mp::detail::CallPhase::done;
}

/// The same, where items are called again when they throw.
template <class Fn, class... Stored>
void retried_chunk_thunk(mp::detail::CallFrame& frame) {
    if (frame.phase == mp::detail::CallPhase::describe) [[unlikely]] {
        mp::detail::describe_function(frame, mp::detail::type_name<Fn>());
        return;
    }
    ItemRetries retried;
    retried.retries = frame.in.get_value<std::uint32_t>();
    retried.on = reinterpret_cast<RetryOn::Matches>(
        const_cast<void*>(mp::detail::read_code_ref(frame.in))
    );
    auto fn = mp::detail::read_function<Fn>(frame.in);
    const auto items = frame.in.get_value<std::uint64_t>();
    for (std::uint64_t i = 0; i < items; ++i) {
        run_item<Fn, Stored...>(frame, fn, i + 1 == items, retried);
    }
    frame.phase = mp::detail::CallPhase::done;
}

template <class... Stored, class Item, std::size_t... i>
void write_item(mp::detail::ByteWriter& out, Item& item, std::index_sequence<i...>) {
    mp::detail::write_arguments<Stored...>(out, std::get<i>(std::move(item))...);
}

template <class Fn, class Item, class... Stored>
void encode_chunk_as(
    mp::detail::TypeList<Stored...>,
    mp::detail::ByteWriter& out,
    const Fn& fn,
    std::vector<Item>& items,
    const SubmitOptions& options
) {
    using Function = std::decay_t<const Fn&>;
    const bool is_retried = options.retries > 0 && options.retry_on;
    const mp::detail::Thunk thunk = is_retried
                                        ? &retried_chunk_thunk<Function, Stored...>
                                        : &chunk_thunk<Function, Stored...>;
    mp::detail::write_code_ref(out, reinterpret_cast<const void*>(thunk));
    if (is_retried) {
        out.put_value(options.retries);
        mp::detail::write_code_ref(
            out, reinterpret_cast<const void*>(options.retry_on.matches())
        );
    }
    mp::detail::write_function<Function>(out, fn);
    out.put_value<std::uint64_t>(items.size());
    for (Item& item : items) {
        write_item<Stored...>(out, item, std::index_sequence_for<Stored...>());
    }
}

/// Appends fn(item...) for each item, as one call.
template <class Fn, class Item>
void encode_chunk(
    mp::detail::ByteWriter& out,
    const Fn& fn,
    std::vector<Item>& items,
    const SubmitOptions& options = {}
) {
    encode_chunk_as(typename ChunkTraits<Fn, Item>::Stored(), out, fn, items, options);
}

/// Reads what chunk_thunk() wrote.
template <class R>
struct ReadChunk {
    static std::vector<ItemOutcome<R>> read(mp::detail::ByteReader& in) {
        std::vector<ItemOutcome<R>> outcomes;
        outcomes.reserve(in.left() / (1 + smallest));
        while (in.left() > 0) {
            auto& outcome = outcomes.emplace_back();
            if (in.get_value<ItemEnd>() == ItemEnd::exception) {
                outcome.exception = mp::detail::decode_exception(in);
            } else if constexpr (std::is_void_v<R>) {
                outcome.value.emplace();
            } else {
                outcome.value.emplace(mp::detail::decode_result<R>(in));
            }
        }
        return outcomes;
    }

private:
    // Bitwise values tell how many there can be; of others, guess low.
    static constexpr std::size_t smallest = [] {
        if constexpr (std::is_void_v<R>) {
            return std::size_t{0};
        } else {
            return std::is_arithmetic_v<R> ? sizeof(R) : std::size_t{63};
        }
    }();
};

}  // namespace futures::detail
