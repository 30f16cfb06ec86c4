// SPDX-License-Identifier: BSL-1.0
// What stands in a pool's shared memory is known for what was written there.
#include "process_pool/items.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

using futures::detail::CallCopy;
using futures::detail::CallItem;
using futures::detail::copy_call;
using futures::detail::MessagePlace;
using futures::detail::padded_word;
using futures::detail::ResultItem;
using futures::detail::ResultKind;
using futures::detail::sum_of;

namespace {

constexpr std::uint64_t position = 1234567;

std::vector<std::byte> message_of(std::size_t size) {
    std::vector<std::byte> message(size);
    for (std::size_t i = 0; i < size; ++i) {
        message[i] = static_cast<std::byte>(i * 7 + 3);
    }
    return message;
}

CallItem call_of(const std::vector<std::byte>& message) {
    CallItem item{};
    item.length = static_cast<std::uint8_t>(message.size());
    item.place = MessagePlace::slot;
    item.sum = copy_call(
        item.bytes.data(), message.data(), message.size(), item.place, position
    );
    return item;
}

/// The same with that bit changed.
template <class Item>
Item flipped(const Item& item, std::size_t bit) {
    std::array<std::byte, sizeof(Item)> bytes;
    std::memcpy(bytes.data(), &item, sizeof item);
    bytes[bit / 8] ^= std::byte{1} << bit % 8;
    return std::bit_cast<Item>(bytes);
}

}  // namespace

TEST_CASE(
    "CallItem: a call of each length is read as it was written", "[process_pool]"
) {
    for (std::size_t size = 0; size <= CallItem::capacity; ++size) {
        const auto message = message_of(size);
        const CallItem item = call_of(message);
        CallCopy copy{};
        REQUIRE(copy_call(copy, item, position));
        CHECK(std::ranges::equal(copy.message(), message));
    }
}

TEST_CASE(
    "CallItem: one bit more or less is told, and so is another task's call",
    "[process_pool]"
) {
    for (const std::size_t size : {0U, 1U, 3U, 5U, 8U, 12U, 47U, 240U}) {
        const CallItem item = call_of(message_of(size));
        CallCopy copy{};
        const std::size_t used = offsetof(CallItem, bytes) + size;
        int believed = 0;
        for (std::size_t bit = 0; bit < 8 * used; ++bit) {
            believed += copy_call(copy, flipped(item, bit), position) ? 1 : 0;
        }
        CHECK(believed == 0);
        CHECK_FALSE(copy_call(copy, item, position + 1));
        CHECK_FALSE(copy_call(copy, item, position + 1024));
    }
}

TEST_CASE("CallItem: zeros and ones are no call", "[process_pool]") {
    for (const int value : {0, 0xff}) {
        std::array<std::byte, sizeof(CallItem)> bytes;
        bytes.fill(static_cast<std::byte>(value));
        CallCopy copy{};
        for (std::uint64_t at = 0; at < 3000; ++at) {
            CHECK_FALSE(copy_call(copy, std::bit_cast<CallItem>(bytes), at));
        }
    }
}

TEST_CASE(
    "ResultItem: its sum is that of one task, one worker and one entry",
    "[process_pool]"
) {
    const ResultItem::Words words{77, 88};
    const ResultItem::Shape shape{16, ResultKind::value, MessagePlace::item};
    const auto sum = sum_of(position, {3, 99}, shape, words).value();
    CHECK(sum != sum_of(position + 1, {3, 99}, shape, words).value());
    CHECK(sum != sum_of(position, {4, 99}, shape, words).value());
    CHECK(sum != sum_of(position, {3, 98}, shape, words).value());
    CHECK(sum != sum_of(position, {3, 99}, shape, {77, 89}).value());
    CHECK(sum != sum_of(position, {3, 99}, shape, {88, 77}).value());
    auto other = shape;
    other.kind = ResultKind::exception;
    CHECK(sum != sum_of(position, {3, 99}, other, words).value());
    CHECK(sum_of(0, {0, 0}, {}, {}).value() != 0);
}

TEST_CASE("padded_word: at most eight bytes, and zeros behind them", "[process_pool]") {
    const auto message = message_of(16);
    for (std::size_t size = 0; size <= 8; ++size) {
        std::uint64_t expected = 0;
        std::memcpy(&expected, message.data(), size);
        CHECK(padded_word(message.data(), size) == expected);
    }
}
