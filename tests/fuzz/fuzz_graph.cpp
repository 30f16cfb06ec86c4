// SPDX-License-Identifier: BSL-1.0
// Any bytes, read as graphs of exported classes, and the bytes of a graph with a few
// changed: an error or a value, never a crash; and whatever a pointer of the value
// names is there. The first byte says how.
#include "mp/errors.hpp"
#include "mp/reduction.hpp"
#include "mp/serialization.hpp"

#include "support/sample_graph.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

using Bytes = std::vector<std::byte>;

struct Tree {
    std::int32_t value = 0;
    std::vector<Tree> children;
    std::shared_ptr<Tree> other;
    std::weak_ptr<Tree> up;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& value& children& other& up;
    }
};

/// Its elements move if there are more of them than the message says at first.
struct Wide {
    std::int64_t filler[64] = {};
    bool filled = false;
    Wide* next = nullptr;  // not owned

    static void* operator new(std::size_t size) { return sample::Swept::take(size); }

    static void operator delete(void* memory) noexcept { sample::Swept::give(memory); }

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& filled& next;
    }
};

struct WideOnes {
    std::vector<Wide> ones;
    std::shared_ptr<std::vector<Wide>> behind;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& ones& behind;
    }
};

std::int64_t look(const Tree& tree, int depth = 0) {
    std::int64_t sum = tree.value & 0xff;
    if (depth < 20) {
        for (const Tree& child : tree.children) {
            sum += look(child, depth + 1);
        }
        sum += tree.other != nullptr ? tree.other->value & 0xff : 0;
        const auto up = tree.up.lock();
        sum += up != nullptr ? up->value & 0xff : 0;
    }
    return sum;
}

std::int64_t look(const std::vector<Wide>& ones) {
    std::int64_t sum = 0;
    for (const Wide& one : ones) {
        sum += one.next != nullptr ? one.next->filler[63] : 0;
    }
    return sum;
}

std::int64_t look(const WideOnes& wide) {
    return look(wide.ones) + (wide.behind != nullptr ? look(*wide.behind) : 0);
}

std::int64_t look(const sample::Graph& graph) {
    return sample::Looker().look_at(graph);
}

template <class T>
void read_as(std::span<const std::byte> bytes) {
    try {
        T value;
        mp::detail::ByteReader in(bytes);
        mp::detail::decode_into(in, value);
        if (look(value) == INT64_MIN) {  // never; so that all of it is looked at
            std::abort();
        }
    } catch (const mp::SerializationError&) {
        // Most bytes are no value.
    }
    sample::Swept::sweep();
}

const Bytes& good_graph() {
    static const Bytes bytes = [] {
        sample::Graph graph;
        sample::fill(graph);
        return mp::dumps(graph);
    }();
    return bytes;
}

const Bytes& good_wide() {
    static const Bytes bytes = [] {
        WideOnes wide;
        wide.ones.resize(20);
        wide.behind = std::make_shared<std::vector<Wide>>(20);
        wide.ones[19].next = &wide.ones[0];
        wide.behind->back().next = &wide.behind->front();
        return mp::dumps(wide);
    }();
    return bytes;
}

const Bytes& good_tree() {
    static const Bytes bytes = [] {
        Tree root;
        root.children.resize(3);
        auto other = std::make_shared<Tree>();
        other->children.resize(2);
        root.children[0].other = other;
        root.children[1].other = other;
        root.children[2].up = other;
        other->children[0].up = other;
        return mp::dumps(root);
    }();
    return bytes;
}

/// Each change is a place (two bytes; the two highest bits say what), and a value:
/// xored there, put in, or the number of bytes that are taken out.
Bytes changed(Bytes bytes, std::span<const std::byte> how) {
    for (; how.size() >= 3 && !bytes.empty(); how = how.subspan(3)) {
        const auto word = std::to_integer<std::size_t>(how[0]) << 8 |
                          std::to_integer<std::size_t>(how[1]);
        const std::size_t place = (word & 0x3fffU) % bytes.size();
        const auto at = bytes.begin() + static_cast<std::ptrdiff_t>(place);
        switch (word >> 14U) {
        case 0:
        case 1:
            *at ^= how[2];
            break;
        case 2:
            bytes.insert(at, how[2]);
            break;
        default:
            const std::size_t left = bytes.size() - place;
            const std::size_t count = std::to_integer<std::size_t>(how[2]) % 9;
            bytes.erase(at, at + static_cast<std::ptrdiff_t>(std::min(left, count)));
            break;
        }
    }
    return bytes;
}

}  // namespace

// What raw pointers name in a message that nobody wrote may belong to nobody.
extern "C" int __lsan_is_turned_off() {
    return 1;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const auto bytes = std::as_bytes(std::span(data, size)).subspan(1);
    switch (data[0] % 6) {
    case 0:
        read_as<sample::Graph>(bytes);
        break;
    case 1:
        read_as<Tree>(bytes);
        break;
    case 2:
        read_as<WideOnes>(bytes);
        break;
    case 3:
        read_as<Tree>(changed(good_tree(), bytes));
        break;
    case 4:
        read_as<WideOnes>(changed(good_wide(), bytes));
        break;
    default:
        read_as<sample::Graph>(changed(good_graph(), bytes));
        break;
    }
    return 0;
}
