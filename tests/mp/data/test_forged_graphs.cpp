// SPDX-License-Identifier: BSL-1.0
// Graphs whose bytes somebody changed: a value or an error, and whatever a pointer
// names is there, of its type, and has one owner.
#include "mp/errors.hpp"
#include "mp/reduction.hpp"
#include "mp/serialization.hpp"

#include "support/catch.hpp"
#include "support/sample_graph.hpp"

#include <algorithm>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

extern "C" void __lsan_disable() __attribute__((weak));
extern "C" void __lsan_enable() __attribute__((weak));

namespace {

// What raw pointers name in a forged message may belong to nobody.
class LeaksAllowed {
public:
    LeaksAllowed() {
        if (__lsan_disable != nullptr) {
            __lsan_disable();
        }
    }

    LeaksAllowed(const LeaksAllowed&) = delete;
    LeaksAllowed& operator=(const LeaksAllowed&) = delete;

    ~LeaksAllowed() {
        if (__lsan_enable != nullptr) {
            __lsan_enable();
        }
    }
};

struct A {
    std::int64_t first = 0x41414141;
    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& first;
    }
};

struct B {
    std::string text;
    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& text;
    }
};

struct Both {
    std::shared_ptr<A> a;
    std::shared_ptr<B> b;
    std::shared_ptr<B> again;
    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& a& b& again;
    }
};

struct TwoOwners {
    std::unique_ptr<A> one;
    std::unique_ptr<A> other;
    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& one& other;
    }
};

struct Mixed {
    A* raw = nullptr;
    std::unique_ptr<A> one;
    std::shared_ptr<A> other;
    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& raw& one& other;
    }
};

struct OwnsAPart {
    A value;
    std::unique_ptr<A> pointer;
    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& value& pointer;
    }
};

struct NamesNewest {
    std::shared_ptr<A> a;
    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& a;
    }
};

/// As many bytes as they have, all of them zero or all of them gone.
constexpr std::size_t sizes_of_numbers[] = {1, 2, 4, 8};

/// Every byte, one after the other, becomes each of a few; numbers are added and
/// removed.
template <class Read>
int change_each_byte(const std::vector<std::byte>& good, Read read) {
    constexpr std::uint8_t values[] = {0, 1, 2, 3, 4, 5, 8, 16, 0x7f, 0x80, 0xfe, 0xff};
    int refused = 0;
    for (std::size_t at = 0; at < good.size(); ++at) {
        for (const std::uint8_t value : values) {
            auto bytes = good;
            bytes[at] = static_cast<std::byte>(value);
            try {
                read(bytes);
            } catch (const mp::SerializationError&) {
                ++refused;
            }
        }
        for (const int step : {-1, 1}) {
            auto bytes = good;
            bytes[at] = static_cast<std::byte>(static_cast<int>(bytes[at]) + step);
            try {
                read(bytes);
            } catch (const mp::SerializationError&) {
                ++refused;
            }
        }
        for (const std::size_t size : sizes_of_numbers) {
            const auto place = static_cast<std::ptrdiff_t>(at);
            auto bytes = good;
            bytes.insert(bytes.begin() + place, size, std::byte{0});
            try {
                read(bytes);
            } catch (const mp::SerializationError&) {
                ++refused;
            }
            bytes = good;
            const auto end = std::min(good.size(), at + size);
            bytes.erase(
                bytes.begin() + place, bytes.begin() + static_cast<std::ptrdiff_t>(end)
            );
            try {
                read(bytes);
            } catch (const mp::SerializationError&) {
                ++refused;
            }
        }
    }
    return refused;
}

struct Owner {
    A part;
    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& part;
    }
};

struct WeakThenRaw {
    std::weak_ptr<Owner> weak;
    A* raw = nullptr;
    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& weak& raw;
    }
};

}  // namespace

template <>
inline constexpr bool mp::is_archivable<A*> = true;
BOOST_CLASS_VERSION(NamesNewest, 2)

TEST_CASE("loads: a graph with everything comes back whole") {
    sample::Graph graph;
    sample::fill(graph);
    const auto bytes = mp::dumps(graph);
    mp::detail::ByteReader in(bytes);
    sample::Graph back;
    mp::detail::decode_into(in, back);
    CHECK(in.left() == 0);
    CHECK(sample::Looker().look_at(back) == sample::Looker().look_at(graph));
    CHECK(back.items[2].other == &back.items[0]);
    CHECK(back.list.back().other == &back.items[1]);
    CHECK(back.set.begin()->other == &back.list.front());
    CHECK(back.map[1].other == &back.deque.back());
    CHECK(back.named[0] == &back.map[1]);
    CHECK(back.named[1] == back.alone.get());
    CHECK(back.named[2] == back.shared.get());
    CHECK(back.named[3] == &back.behind->back());
    CHECK(back.named[4] == &*back.set.begin());
    CHECK(back.named[5] == back.keys.begin()->items.data());
    CHECK(back.behind->front().other == std::get_if<sample::Item>(&back.either));
    CHECK(back.weak.lock() == back.shared);
    CHECK(back.shared.use_count() == 1);
}

TEST_CASE("loads: a graph with one byte changed is a value or an error", "[no-tsan]") {
    const LeaksAllowed leaks;
    sample::Graph graph;
    sample::fill(graph);
    std::uint64_t sum = 0;
    const int refused = change_each_byte(mp::dumps(graph), [&](const auto& bytes) {
        mp::detail::ByteReader in(bytes);
        sample::Graph back;
        mp::detail::decode_into(in, back);
        sum += static_cast<std::uint64_t>(sample::Looker().look_at(back));
    });
    CHECK(refused > 0);
    CHECK(sum != 0);
}

TEST_CASE("loads: a number of one class does not read an object of another") {
    const LeaksAllowed leaks;
    Both both{std::make_shared<A>(), std::make_shared<B>(), nullptr};
    both.b->text = std::string(40, 'b');
    both.again = both.b;
    const auto good = mp::dumps(both);
    const int refused = change_each_byte(good, [](const auto& bytes) {
        const auto back = mp::loads<Both>(bytes);
        const std::string copy = back.again != nullptr ? back.again->text : "";
        CHECK(copy.size() < 1000);
    });
    CHECK(refused > 0);
}

TEST_CASE("loads: no object gets two owners that know nothing of each other") {
    const LeaksAllowed leaks;
    const TwoOwners two{std::make_unique<A>(), std::make_unique<A>()};
    CHECK(change_each_byte(mp::dumps(two), [](const auto& bytes) {
              const auto back = mp::loads<TwoOwners>(bytes);
              CHECK((back.one == nullptr || back.one.get() != back.other.get()));
          }) > 0);
    A named;
    Mixed mixed{&named, std::make_unique<A>(), std::make_shared<A>()};
    CHECK(change_each_byte(mp::dumps(mixed), [](const auto& bytes) {
              const auto back = mp::loads<Mixed>(bytes);
              CHECK((back.one == nullptr || back.one.get() != back.other.get()));
          }) > 0);
    const OwnsAPart part{{}, std::make_unique<A>()};
    CHECK(change_each_byte(mp::dumps(part), [](const auto& bytes) {
              mp::detail::ByteReader in(bytes);
              OwnsAPart back;
              mp::detail::decode_into(in, back);
              CHECK(back.pointer.get() != &back.value);
          }) > 0);
}

TEST_CASE("dumps: an object that a unique_ptr and a shared_ptr own is not read") {
    const LeaksAllowed leaks;
    // Two owners are a mistake here, too; they let go before it shows.
    Mixed mixed{nullptr, std::make_unique<A>(), nullptr};
    mixed.other.reset(mixed.one.get());
    const auto bytes = mp::dumps(mixed);
    static_cast<void>(mixed.one.release());
    CHECK_THROWS_AS(mp::loads<Mixed>(bytes), mp::SerializationError);
    mixed.raw = mixed.other.get();
    const auto fine = mp::loads<Mixed>(mp::dumps(mixed));
    CHECK(fine.raw == fine.other.get());
    CHECK(fine.other.use_count() == 1);
}

TEST_CASE("loads: an exported class that does not fit is not even made") {
    const LeaksAllowed leaks;
    sample::Graph graph;
    graph.root = std::make_shared<sample::Leaf>();
    auto bytes = mp::dumps(graph);
    const std::string leaf = "sample::Leaf";
    const std::string stranger = "sample::Stranger";
    const auto at = std::search(
        bytes.begin(),
        bytes.end(),
        leaf.begin(),
        leaf.end(),
        [](std::byte b, char c) { return static_cast<char>(b) == c; }
    );
    REQUIRE(at != bytes.end());
    auto forged = std::vector<std::byte>(bytes.begin(), at);
    forged[forged.size() - 8] = static_cast<std::byte>(stranger.size());
    for (const char c : stranger) {
        forged.push_back(static_cast<std::byte>(c));
    }
    forged.insert(
        forged.end(), at + static_cast<std::ptrdiff_t>(leaf.size()), bytes.end()
    );
    const int made = sample::Stranger::made;
    CHECK_THROWS_AS(mp::loads<sample::Graph>(forged), mp::SerializationError);
    CHECK(sample::Stranger::made == made);
}

TEST_CASE("loads: a class of a graph that is newer than ours is refused") {
    const LeaksAllowed leaks;
    auto bytes = mp::dumps(std::make_shared<NamesNewest>());
    int refused = 0;
    for (auto& byte : bytes) {
        if (byte == std::byte{2}) {
            byte = std::byte{3};
            try {
                mp::loads<std::shared_ptr<NamesNewest>>(bytes);
            } catch (const mp::SerializationError& error) {
                refused +=
                    std::string(error.what()).find("version 3") != std::string::npos;
            }
            byte = std::byte{2};
        }
    }
    CHECK(refused == 1);
}

TEST_CASE("loads: an object behind a pointer cannot be said to have no number") {
    const LeaksAllowed leaks;
    const auto owner = std::make_shared<Owner>();
    const auto good = mp::dumps(WeakThenRaw{owner, &owner->part});
    // Tracked, version 0, object 0; the first of them is the Owner's.
    const std::byte tracked[] = {
        std::byte{1}, {}, {}, {}, {}, std::byte{0}, {}, {}, {}};
    const auto at =
        std::search(good.begin(), good.end(), std::begin(tracked), std::end(tracked));
    REQUIRE(at != good.end());
    std::vector<std::byte> forged(good.begin(), at);
    forged.insert(forged.end(), 5, std::byte{0});  // not tracked, version 0
    forged.insert(forged.end(), at + 9, good.end());
    // The number of the part, which was the second object, may be any.
    const auto tail = forged.size();
    for (std::size_t i = 1; i <= tail; ++i) {
        auto bytes = forged;
        bytes[tail - i] =
            static_cast<std::byte>(std::to_integer<int>(bytes[tail - i]) - 1);
        CHECK_THROWS_AS(mp::loads<WeakThenRaw>(bytes), mp::SerializationError);
    }
    CHECK_THROWS_AS(mp::loads<WeakThenRaw>(forged), mp::SerializationError);
}

TEST_CASE("loads: a bitset that is none is a SerializationError") {
    using Bits = std::bitset<9>;
    CHECK(change_each_byte(mp::dumps(Bits(257)), [](const auto& bytes) {
              mp::loads<Bits>(bytes);
          }) > 0);
    using Pair = std::pair<std::int32_t, Bits>;
    const auto behind = mp::dumps(std::make_shared<std::vector<Bits>>(3));
    CHECK(change_each_byte(behind, [](const auto& bytes) {
              mp::loads<std::shared_ptr<std::vector<Bits>>>(bytes);
          }) > 0);
    CHECK(mp::loads<Pair>(mp::dumps(Pair(1, 257))).second == Bits(257));
}
