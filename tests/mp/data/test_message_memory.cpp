// SPDX-License-Identifier: BSL-1.0
// Memory grows with the bytes that arrived, not with the numbers that they claim; and
// every value that is written can be read, however much larger than its bytes it is.
#include "mp/errors.hpp"
#include "mp/reduction.hpp"
#include "mp/serialization.hpp"

#include "support/catch.hpp"
#include "support/sanitizer.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <forward_list>
#include <functional>
#include <list>
#include <malloc.h>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <valarray>
#include <variant>
#include <vector>

namespace {

std::atomic<std::size_t> in_use{0};
std::atomic<std::size_t> most{0};

void* counted(std::size_t size) {
    void* const memory = std::malloc(size);
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    const std::size_t now =
        in_use.fetch_add(::malloc_usable_size(memory)) + ::malloc_usable_size(memory);
    std::size_t before = most.load();
    while (before < now && !most.compare_exchange_weak(before, now)) {
    }
    return memory;
}

void uncounted(void* memory) noexcept {
    if (memory != nullptr) {
        in_use.fetch_sub(::malloc_usable_size(memory));
        std::free(memory);
    }
}

}  // namespace

void* operator new(std::size_t size) {
    return counted(size);
}

void* operator new[](std::size_t size) {
    return counted(size);
}

// Sanitizers have one of their own for these, and would have that memory given back to
// it.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    try {
        return counted(size);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}

void* operator new[](std::size_t size, const std::nothrow_t& nothrow) noexcept {
    return operator new(size, nothrow);
}

void operator delete(void* memory) noexcept {
    uncounted(memory);
}

void operator delete[](void* memory) noexcept {
    uncounted(memory);
}

void operator delete(void* memory, std::size_t) noexcept {
    uncounted(memory);
}

void operator delete[](void* memory, std::size_t) noexcept {
    uncounted(memory);
}

namespace {

/// Four thousand bytes, and as many in a message.
struct Large {
    std::array<std::int32_t, 1000> numbers{};

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& numbers;
    }
};

struct LargeKey {
    std::array<std::int32_t, 1000> numbers{};

    auto operator<=>(const LargeKey&) const = default;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& numbers;
    }
};

/// Its members are found without a serialize().
struct PlainLarge {
    std::array<std::int32_t, 1000> numbers{};
};

/// Copied as bytes.
class BitwiseLarge {
public:
    std::array<std::int32_t, 1000> numbers{};

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& numbers;
    }
};

/// Elements that go as bytes, or one by one if somebody points at them.
struct PointedAt {
    struct Element {
        std::int32_t number;
        std::int32_t other;
    };

    std::vector<Element> elements;
    Element* one = nullptr;  // not owned

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& elements& one;
    }
};

class LargeWithoutDefault {
public:
    explicit LargeWithoutDefault(int) {}

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& numbers_;
    }

private:
    std::array<std::int32_t, 1000> numbers_{};
};

template <class Archive>
void load_construct_data(Archive&, LargeWithoutDefault* value, unsigned) {
    ::new (value) LargeWithoutDefault(0);
}

/// Writes nothing at all.
struct Nothing {
    template <class Archive>
    void serialize(Archive&, unsigned) {}

    auto operator<=>(const Nothing&) const = default;
};

/// Four thousand bytes that take one in a message.
struct Sparse {
    std::optional<std::array<std::int32_t, 1000>> numbers;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& numbers;
    }

    bool operator==(const Sparse&) const = default;
};

/// In a message behind a pointer, which has its own ways.
template <class T>
struct Behind {
    T value;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& value;
    }
};

}  // namespace

BOOST_IS_BITWISE_SERIALIZABLE(BitwiseLarge)
template <>
inline constexpr bool mp::is_archivable<PointedAt::Element*> = true;

namespace {

/// How much more memory `run` had at its worst than before it.
std::size_t memory_of(const std::function<void()>& run) {
    const std::size_t before = in_use.load();
    most.store(before);
    run();
    return most.load() - before;
}

constexpr std::size_t message_size = 900'000;

/// A container that says it has as many elements as the message has bytes.
template <class T>
std::vector<std::byte> claim(std::vector<std::byte> begin, std::size_t behind = 0) {
    const std::size_t count_at = begin.size() - sizeof(std::uint64_t) - behind;
    const std::uint64_t count = message_size - begin.size();
    std::memcpy(begin.data() + count_at, &count, sizeof count);
    begin.resize(message_size, std::byte{0});
    return begin;
}

template <class T>
void stays_small(const char* name, std::size_t behind_count = 0) {
    INFO(name);
    // An empty one ends with its count, or with so many bytes behind it.
    const auto flat = claim<T>(mp::dumps(T()), behind_count);
    const auto behind = claim<T>(mp::dumps(std::make_unique<Behind<T>>()));
    const auto small = [](const auto& read) {
        const std::size_t memory = memory_of([&] {
            try {
                read();
            } catch (const mp::SerializationError&) {
                // Mostly.
            }
        });
        CHECK(memory < 64 * message_size);
    };
    small([&] { mp::loads<T>(flat); });
    small([&] { mp::loads<std::unique_ptr<Behind<T>>>(behind); });
}

}  // namespace

// The sanitizers have allocators of their own, which count what is freed for a while.
TEST_CASE(
    "loads: a claimed number of elements takes no memory for those that are not there"
) {
    stays_small<std::vector<Large>>("vector");
    stays_small<std::vector<PlainLarge>>("vector of plain structs", 1);
    stays_small<std::vector<BitwiseLarge>>("vector of bytes", 1);
    stays_small<std::deque<PlainLarge>>("deque of plain structs");
    stays_small<std::deque<Large>>("deque");
    stays_small<std::list<Large>>("list");
    stays_small<std::set<LargeKey>>("set");
    stays_small<std::map<std::int32_t, Large>>("map");
    stays_small<std::multimap<std::int32_t, Large>>("multimap");
    stays_small<std::unordered_map<std::int32_t, Large>>("unordered_map");
    stays_small<std::unordered_set<std::int32_t>>("unordered_set");
    stays_small<std::vector<std::vector<std::int32_t>>>("vector of vectors");
    stays_small<std::vector<std::string>>("vector of strings");
    stays_small<std::vector<std::map<std::int32_t, std::int32_t>>>("vector of maps");
    stays_small<std::vector<bool>>("vector of bool");
    stays_small<std::vector<std::tuple<Large, Large>>>("vector of tuples");
    stays_small<std::valarray<Large>>("valarray");
    stays_small<std::forward_list<Large>>("forward_list");
    stays_small<std::string>("string");
    stays_small<std::wstring>("wstring");
    stays_small<std::vector<std::int64_t>>("numbers");
}

TEST_CASE("dumps and loads: elements that go as bytes come back, also pointed at") {
    std::vector<BitwiseLarge> many(20);
    many[19].numbers[999] = 5;
    CHECK(mp::loads<decltype(many)>(mp::dumps(many))[19].numbers[999] == 5);
    PointedAt value;
    value.elements = {{1, 2}, {3, 4}, {5, 6}};
    value.one = &value.elements[1];
    const auto back = mp::loads<PointedAt>(mp::dumps(value));
    CHECK(back.elements.size() == 3);
    CHECK(back.one == &back.elements[1]);
    CHECK(back.one->other == 4);
}

TEST_CASE("loads: elements without a default constructor get room as they come") {
    const auto bytes = [] {
        mp::detail::ByteWriter out;
        out.put_value(std::uint8_t{0});
        out.put_value(std::uint64_t{message_size - 17});
        out.put_value(std::uint64_t{0});  // version
        std::vector<std::byte> all(out.data().begin(), out.data().end());
        all.resize(message_size, std::byte{0});
        return all;
    }();
    const std::size_t memory = memory_of([&] {
        CHECK_THROWS_AS(
            mp::loads<std::vector<LargeWithoutDefault>>(bytes), mp::SerializationError
        );
    });
    CHECK(memory < 64 * message_size);
}

TEST_CASE("loads: nested claims share what a message may have ahead") {
    using Nested = std::vector<std::vector<std::vector<std::vector<Large>>>>;
    mp::detail::ByteWriter out;
    for (int i = 0; i < 4; ++i) {
        out.put_value(std::uint8_t{0});
        out.put_value(std::uint64_t{i < 3 ? 90'000U : 800'000U});
    }
    std::vector<std::byte> bytes(out.data().begin(), out.data().end());
    bytes.resize(message_size, std::byte{0});
    const std::size_t memory = memory_of([&] {
        CHECK_THROWS_AS(mp::loads<Nested>(bytes), mp::SerializationError);
    });
    CHECK(memory < 64 * message_size);
}

TEST_CASE("dumps and loads: elements that write nothing come back in their number") {
    const std::vector<Nothing> many(100'000);
    CHECK(mp::loads<std::vector<Nothing>>(mp::dumps(many)).size() == many.size());
    auto behind = std::make_unique<Behind<std::vector<Nothing>>>();
    behind->value = many;
    const auto bytes = mp::dumps(behind);
    CHECK(bytes.size() >= many.size());
    const auto back = mp::loads<decltype(behind)>(bytes);
    CHECK(back->value.size() == many.size());

    auto list = std::make_shared<Behind<std::multiset<Nothing>>>();
    for (int i = 0; i < 1000; ++i) {
        list->value.emplace();
    }
    CHECK(mp::loads<decltype(list)>(mp::dumps(list))->value.size() == 1000);
    auto forward = std::make_shared<Behind<std::forward_list<Nothing>>>();
    forward->value.resize(1000);
    const auto there = mp::loads<decltype(forward)>(mp::dumps(forward));
    CHECK(std::distance(there->value.begin(), there->value.end()) == 1000);
}

TEST_CASE("dumps and loads: a value that is much larger than its bytes comes back") {
    std::vector<Sparse> sparse(5000);
    sparse[4999].numbers.emplace().fill(7);
    CHECK(mp::loads<std::vector<Sparse>>(mp::dumps(sparse)) == sparse);
    auto behind = std::make_unique<Behind<std::vector<Sparse>>>();
    behind->value = sparse;
    CHECK(mp::loads<decltype(behind)>(mp::dumps(behind))->value == sparse);
    std::vector<std::vector<Sparse>> nested(20, std::vector<Sparse>(100));
    CHECK(mp::loads<decltype(nested)>(mp::dumps(nested)) == nested);
}

namespace {

struct Any {
    std::int32_t number = 0;
    std::string text;
    std::vector<Any> children;
    std::map<std::string, std::vector<std::int32_t>> map;
    std::optional<std::vector<bool>> bits;
    std::variant<std::int32_t, std::string, std::list<std::string>> either;
    std::vector<std::shared_ptr<Any>> shared;
    std::deque<std::set<std::int32_t>> sets;
    std::unordered_map<std::int32_t, std::string> hashed;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& number& text& children& map& bits& either& shared& sets& hashed;
    }
};

bool equal(const Any& a, const Any& b) {
    return a.number == b.number && a.text == b.text && a.map == b.map &&
           a.bits == b.bits && a.either == b.either && a.sets == b.sets &&
           a.hashed == b.hashed &&
           std::equal(
               a.children.begin(),
               a.children.end(),
               b.children.begin(),
               b.children.end(),
               equal
           ) &&
           std::equal(
               a.shared.begin(),
               a.shared.end(),
               b.shared.begin(),
               b.shared.end(),
               [](const auto& x, const auto& y) { return equal(*x, *y); }
           );
}

class Maker {
public:
    explicit Maker(unsigned seed) : random_(seed) {}

    Any make(int depth) {
        Any any;
        any.number = static_cast<std::int32_t>(random_());
        any.text = text();
        for (unsigned i = below(depth > 0 ? 6 : 1); i > 0; --i) {
            any.children.push_back(make(depth - 1));
        }
        for (unsigned i = below(5); i > 0; --i) {
            any.map[text()].resize(below(30));
        }
        if (below(2) == 0) {
            any.bits.emplace(below(2000));
        }
        if (below(2) == 0) {
            any.either = std::list<std::string>(below(20), text());
        }
        for (unsigned i = below(depth > 0 ? 4 : 1); i > 0; --i) {
            if (!known_.empty() && below(2) == 0) {
                any.shared.push_back(known_[below(static_cast<unsigned>(known_.size()))]
                );
            } else {
                any.shared.push_back(std::make_shared<Any>(make(depth - 1)));
                known_.push_back(any.shared.back());
            }
        }
        any.sets.resize(below(3));
        for (auto& set : any.sets) {
            for (unsigned i = below(20); i > 0; --i) {
                set.insert(static_cast<std::int32_t>(random_()));
            }
        }
        for (unsigned i = below(20); i > 0; --i) {
            any.hashed[static_cast<std::int32_t>(below(1000))] = text();
        }
        return any;
    }

private:
    unsigned below(unsigned end) { return static_cast<unsigned>(random_() % end); }

    std::string text() {
        return std::string(below(4) == 0 ? below(5000) : below(20), 'x');
    }

    std::mt19937 random_;
    std::vector<std::shared_ptr<Any>> known_;
};

}  // namespace

TEST_CASE("dumps and loads: random values and graphs, small and large, come back") {
    const auto seed = std::random_device()();
    INFO("seed " << seed);
    for (unsigned i = 0; i < 60; ++i) {
        const Any any = Maker(seed + i).make(static_cast<int>(i % 5));
        CHECK(equal(mp::loads<Any>(mp::dumps(any)), any));
    }
}
