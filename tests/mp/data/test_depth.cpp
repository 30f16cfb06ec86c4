// SPDX-License-Identifier: BSL-1.0
// Values nested so deep that a stack would end: an error in both directions, on every
// thread, whatever it is that nests.
#include "mp/errors.hpp"
#include "mp/reduction.hpp"
#include "mp/serialization.hpp"

#include "support/catch.hpp"

#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

extern "C" void __lsan_disable() __attribute__((weak));
extern "C" void __lsan_enable() __attribute__((weak));

namespace {

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

struct Tree {
    std::int32_t value = 0;
    std::vector<Tree> children;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& value& children;
    }
};

struct Holder {
    Tree tree;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& tree;
    }
};

template <template <class...> class Pointer>
struct Node {
    std::int32_t value = 0;
    Pointer<Node> next;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& value& next;
    }
};

struct RawNode {
    std::int32_t value = 0;
    RawNode* next = nullptr;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& value& next;
    }
};

/// Holds the bytes of the next one, which it reads with an archive of its own.
struct Matryoshka {
    std::int32_t value = 0;
    std::unique_ptr<Matryoshka> inner;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        std::vector<std::byte> bytes;
        if constexpr (Archive::is_saving::value) {
            if (inner != nullptr) {
                bytes = mp::dumps(*inner);
            }
        }
        ar& bytes;
        if constexpr (!Archive::is_saving::value) {
            if (!bytes.empty()) {
                inner = std::make_unique<Matryoshka>();
                mp::detail::ByteReader in(bytes);
                mp::detail::decode_into(in, *inner);
            }
        }
    }
};

/// A frame as large as those of some programs.
struct Roomy {
    std::int32_t value = 0;
    std::vector<Roomy> children;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        std::byte room[32UL * 1024];
        room[0] = std::byte{1};
        asm volatile("" : : "r"(room) : "memory");
        ar& value& children;
    }
};

template <class T>
void grow(T& root, int depth) {
    T* last = &root;
    for (int i = 0; i < depth; ++i) {
        last = &last->children.emplace_back();
    }
}

/// Its destructor would recurse as deep as it is.
template <class T>
void take_apart(T& root) {
    while (!root.children.empty()) {
        auto below = std::move(root.children[0].children);
        root.children = std::move(below);
    }
}

/// Without recursion, as no archive would write it: the bytes of a chain of `depth`
/// repetitions of what one level adds to a message.
template <class Make>
std::vector<std::byte> bytes_of_chain(Make make, int depth) {
    const auto two = mp::dumps(make(2));
    const auto three = mp::dumps(make(3));
    const auto four = mp::dumps(make(4));
    REQUIRE(three.size() - two.size() == four.size() - three.size());
    // What a level adds stands before what the innermost ends with.
    std::size_t begin = 0;
    while (begin < two.size() && two[begin] == three[begin]) {
        ++begin;
    }
    const std::size_t level = three.size() - two.size();
    std::vector<std::byte> bytes(
        three.begin(), three.begin() + static_cast<long>(begin)
    );
    for (int i = 0; i < depth; ++i) {
        const auto from = three.begin() + static_cast<long>(begin);
        bytes.insert(bytes.end(), from, from + static_cast<long>(level));
    }
    bytes.insert(bytes.end(), two.begin() + static_cast<long>(begin), two.end());
    return bytes;
}

void check_text(const mp::SerializationError& error, mp::SerializationPhase phase) {
    CHECK(error.phase == phase);
    CHECK(std::string(error.what()).find("nested") != std::string::npos);
}

template <class Call>
void refuses(mp::SerializationPhase phase, Call call) {
    try {
        call();
        FAIL("it was not refused");
    } catch (const mp::SerializationError& error) {
        check_text(error, phase);
    }
}

/// On a thread with a stack of that size.
void on_stack_of(std::size_t size, std::function<void()> run) {
    struct Job {
        std::function<void()> run;
        std::exception_ptr error;
    } job{std::move(run), nullptr};
    pthread_attr_t attributes;
    REQUIRE(pthread_attr_init(&attributes) == 0);
    REQUIRE(pthread_attr_setstacksize(&attributes, size) == 0);
    pthread_t thread{};
    const auto body = [](void* to) -> void* {
        auto& mine = *static_cast<Job*>(to);
        try {
            mine.run();
        } catch (...) {
            mine.error = std::current_exception();
        }
        return nullptr;
    };
    REQUIRE(pthread_create(&thread, &attributes, body, &job) == 0);
    pthread_attr_destroy(&attributes);
    pthread_join(thread, nullptr);
    if (job.error != nullptr) {
        std::rethrow_exception(job.error);
    }
}

constexpr auto encode = mp::SerializationPhase::encode;
constexpr auto decode = mp::SerializationPhase::decode;

std::shared_ptr<Holder> holder_of(int depth) {
    auto holder = std::make_shared<Holder>();
    grow(holder->tree, depth);
    return holder;
}

}  // namespace

template <>
inline constexpr bool mp::is_archivable<RawNode*> = true;

TEST_CASE("dumps: a tree of 30000 levels behind a shared_ptr is refused") {
    const auto holder = holder_of(30'000);
    refuses(encode, [&] { mp::dumps(holder); });
    refuses(encode, [&] { mp::dumps(holder->tree); });
    on_stack_of(512UL * 1024, [&] { refuses(encode, [&] { mp::dumps(holder); }); });
    take_apart(holder->tree);
}

TEST_CASE("loads: a tree of 30000 levels behind a shared_ptr is refused") {
    const auto bytes = bytes_of_chain(holder_of, 30'000);
    refuses(decode, [&] { mp::loads<std::shared_ptr<Holder>>(bytes); });
    on_stack_of(256UL * 1024, [&] {
        refuses(decode, [&] { mp::loads<std::shared_ptr<Holder>>(bytes); });
    });
}

TEST_CASE("loads: a tree of a few hundred levels behind a shared_ptr is fine") {
    const auto holder = holder_of(300);
    const auto bytes = mp::dumps(holder);
    const auto back = mp::loads<std::shared_ptr<Holder>>(bytes);
    int depth = 0;
    for (const Tree* at = &back->tree; !at->children.empty(); at = &at->children[0]) {
        ++depth;
    }
    CHECK(depth == 300);
    CHECK(bytes_of_chain(holder_of, 298) == bytes);
}

TEST_CASE("dumps and loads: a million nodes by shared_ptr are refused") {
    using Shared = Node<std::shared_ptr>;
    const LeaksAllowed leaks;
    auto list = std::make_shared<Shared>();
    for (int i = 0; i < 1'000'000; ++i) {
        auto before = std::make_shared<Shared>();
        before->next = std::exchange(list, nullptr);
        list = std::move(before);
    }
    refuses(encode, [&] { mp::dumps(list); });
    while (list != nullptr) {
        list = std::exchange(list->next, nullptr);
    }
}

TEST_CASE("dumps and loads: a million raw nodes are refused") {
    const LeaksAllowed leaks;
    std::vector<RawNode> nodes(1'000'000);
    for (std::size_t i = 1; i < nodes.size(); ++i) {
        nodes[i - 1].next = &nodes[i];
    }
    refuses(encode, [&] { mp::dumps<RawNode*>(nodes.data()); });
    // Numbers of objects count up, so a chain of them is written out.
    mp::detail::ByteWriter out;
    RawNode two[2];
    two[0].next = &two[1];
    const auto begin = mp::dumps<RawNode*>(two);
    out.put(begin.data(), begin.size() - 2 - 4 - 4 - 2);  // up to the second pointer
    for (std::uint32_t i = 1; i < 1'000'000; ++i) {
        out.put_value(std::int16_t{0});  // the class
        out.put_value(i);                // the object
        out.put_value(std::int32_t{7});
    }
    refuses(decode, [&] { mp::loads<RawNode*>(out.data()); });
}

TEST_CASE(
    "dumps and loads: a list of two thousand shared_ptr is fine", "[no-tsan][no-asan]"
) {
    using Shared = Node<std::shared_ptr>;
    auto list = std::make_shared<Shared>();
    for (int i = 1; i < 2000; ++i) {
        auto before = std::make_shared<Shared>();
        before->next = std::exchange(list, nullptr);
        list = std::move(before);
    }
    auto back = mp::loads<std::shared_ptr<Shared>>(mp::dumps(list));
    int count = 0;
    for (; back != nullptr; ++count) {
        back = std::exchange(back->next, nullptr);
    }
    CHECK(count == 2000);
}

TEST_CASE("dumps and loads: what a large stack writes, a small one refuses") {
    Tree root;
    grow(root, 1000);
    std::vector<std::byte> bytes;
    on_stack_of(64UL << 20U, [&] { bytes = mp::dumps(root); });
    on_stack_of(256UL * 1024, [&] {
        try {
            Tree back = mp::loads<Tree>(bytes);
            take_apart(back);
        } catch (const mp::SerializationError& error) {
            check_text(error, decode);
        }
    });
}

TEST_CASE("dumps and loads: functions with large frames are refused in time") {
    Roomy root;
    grow(root, 1000);
    refuses(encode, [&] { mp::dumps(root); });
    take_apart(root);
    mp::detail::ByteWriter out;
    for (int i = 0; i < 1000; ++i) {
        out.put_value(std::uint8_t{0});   // a Roomy follows
        out.put_value(std::int32_t{1});   // value
        out.put_value(std::uint8_t{0});   // a vector follows
        out.put_value(std::uint64_t{1});  // of one element
    }
    refuses(decode, [&] { mp::loads<Roomy>(out.data()); });
}

TEST_CASE("dumps and loads: archives inside each other count together") {
    const auto make = [](int depth) {
        Matryoshka root;
        Matryoshka* last = &root;
        for (int i = 0; i < depth; ++i) {
            last->inner = std::make_unique<Matryoshka>();
            last = last->inner.get();
        }
        return root;
    };
    Matryoshka deep = make(30'000);
    refuses(encode, [&] { mp::dumps(deep); });
    while (deep.inner != nullptr) {
        deep.inner = std::move(deep.inner->inner);
    }
    const auto fine = mp::loads<Matryoshka>(mp::dumps(make(50)));
    CHECK(fine.inner != nullptr);

    std::vector<std::byte> bytes = mp::dumps(Matryoshka());
    for (int i = 0; i < 12'000; ++i) {
        mp::detail::ByteWriter out;
        out.put_value(std::uint8_t{0});  // a Matryoshka follows
        out.put_value(std::uint8_t{0});  // a vector follows
        out.put_value(std::uint64_t{bytes.size()});
        out.put(bytes.data(), bytes.size());
        const auto more = out.data();
        bytes.assign(more.begin(), more.end());
    }
    refuses(decode, [&] { mp::loads<Matryoshka>(bytes); });
}

TEST_CASE("dumps: after a refusal the next value begins at the surface") {
    Tree root;
    grow(root, 30'000);
    for (int i = 0; i < 3; ++i) {
        refuses(encode, [&] { mp::dumps(root); });
    }
    take_apart(root);
    CHECK(mp::detail::nesting_of_thread.depth == 0);
    CHECK(mp::loads<Tree>(mp::dumps(root)).children.empty());
}
