// SPDX-License-Identifier: BSL-1.0
// SampleGraph: one message with all that a graph may have: exported classes behind an
// abstract one, objects with two owners and with one, weak and raw pointers, cycles,
// and pointers into containers. For one source file of a program, as it exports
// classes.
#pragma once

#include "mp/serialization.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace sample {

/// The memory of objects that a raw pointer was read for: in a message that somebody
/// forged they may belong to nobody. Without destructors, as each may be half an owner
/// of the next.
class Swept {
public:
    static void* take(std::size_t size) {
        void* const memory = ::operator new(size);
        taken().insert(memory);
        return memory;
    }

    static void give(void* memory) noexcept {
        taken().erase(memory);
        ::operator delete(memory);
    }

    static void sweep() noexcept {
        for (void* const memory : taken()) {
            ::operator delete(memory);
        }
        taken().clear();
    }

private:
    static std::set<void*>& taken() {
        static std::set<void*> all;
        return all;
    }
};

struct Part {
    std::int32_t weight = 1;

    Part() = default;
    Part(const Part&) = delete;
    Part& operator=(const Part&) = delete;
    virtual ~Part() = default;
    virtual std::int64_t sum() const = 0;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& weight;
    }
};

struct Leaf : virtual Part {
    std::string text;

    std::int64_t sum() const override {
        std::int64_t all = weight;
        for (const char c : text) {
            all += c;
        }
        return all;
    }

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& boost::serialization::base_object<Part>(*this);
        ar& text;
    }
};

struct Branch : Part {
    std::vector<std::shared_ptr<Part>> parts;
    std::unique_ptr<Part> own;
    std::weak_ptr<Part> up;
    Part* named = nullptr;  // not owned

    std::int64_t sum() const override {
        std::int64_t all = weight + static_cast<std::int64_t>(parts.size());
        for (const auto& part : parts) {
            all += part != nullptr ? part->weight : 0;
        }
        all += own != nullptr ? own->sum() : 0;
        if (const auto part = up.lock()) {
            all += part->weight;
        }
        return all + (named != nullptr ? named->weight : 0);
    }

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& boost::serialization::base_object<Part>(*this);
        ar& parts& own& up& named;
    }
};

/// Polymorphic and exported, and no Part.
struct Stranger {
    static inline int made = 0;
    std::int64_t number = 0;

    Stranger() { ++made; }

    Stranger(const Stranger&) = delete;
    Stranger& operator=(const Stranger&) = delete;
    virtual ~Stranger() = default;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& number;
    }
};

/// Not polymorphic, and of a larger number than a Part's vtable would take.
struct Item {
    std::int64_t number = 0;
    Item* other = nullptr;  // not owned

    static void* operator new(std::size_t size) { return Swept::take(size); }

    static void operator delete(void* memory) noexcept { Swept::give(memory); }

    auto operator<=>(const Item& that) const { return number <=> that.number; }

    bool operator==(const Item& that) const { return number == that.number; }

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& number& other;
    }
};

/// Items that stand in memory which the key owns.
struct Key {
    std::vector<Item> items;

    bool operator<(const Key& that) const { return items < that.items; }

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& items;
    }
};

struct Graph {
    std::shared_ptr<Part> root;
    std::vector<std::unique_ptr<Part>> owned;
    std::shared_ptr<Stranger> stranger;
    std::vector<Item> items;
    std::list<Item> list;
    std::deque<Item> deque;
    std::set<Item> set;
    std::set<Key> keys;
    std::map<std::int32_t, Item> map;
    std::optional<Item> maybe;
    std::variant<std::int32_t, Item> either;
    std::shared_ptr<std::vector<Item>> behind;
    std::unique_ptr<Item> alone;
    std::vector<Item*> named;  // not owned
    std::weak_ptr<Item> weak;
    std::shared_ptr<Item> shared;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& root& owned& stranger& items& list& deque& set& keys& map& maybe& either;
        ar& behind& alone& named& weak& shared;
    }
};

inline void fill(Graph& graph) {
    const auto root = std::make_shared<Branch>();
    const auto leaf = std::make_shared<Leaf>();
    leaf->text = "a leaf";
    const auto branch = std::make_shared<Branch>();
    branch->up = root;
    branch->named = leaf.get();
    branch->own = std::make_unique<Leaf>();
    branch->parts = {leaf, nullptr};
    root->parts = {leaf, branch, leaf};
    root->named = branch->own.get();
    graph.root = root;
    graph.owned.push_back(std::make_unique<Leaf>());
    graph.owned.push_back(std::make_unique<Branch>());
    graph.stranger = std::make_shared<Stranger>();
    graph.items.resize(3);
    graph.items[2].other = &graph.items[0];
    graph.list.resize(2);
    graph.list.back().other = &graph.items[1];
    graph.deque.resize(2);
    for (int i = 0; i < 3; ++i) {
        graph.set.insert(Item{i, &graph.list.front()});
        graph.map[i] = Item{i, &graph.deque.back()};
        graph.keys.insert(Key{{Item{i, nullptr}, Item{i + 1, nullptr}}});
    }
    graph.maybe = Item{4, nullptr};
    graph.either = Item{5, &*graph.maybe};
    graph.behind = std::make_shared<std::vector<Item>>(2);
    graph.behind->front().other = &std::get<Item>(graph.either);
    graph.alone = std::make_unique<Item>();
    graph.shared = std::make_shared<Item>();
    graph.weak = graph.shared;
    graph.named = {
        &graph.map[1],
        graph.alone.get(),
        graph.shared.get(),
        &graph.behind->back(),
        const_cast<Item*>(&*graph.set.begin()),
        const_cast<Item*>(graph.keys.begin()->items.data())};
}

/// Looks at whatever a pointer names.
class Looker {
public:
    std::int64_t look_at(const Graph& graph) {
        look(graph.root.get());
        for (const auto& part : graph.owned) {
            look(part.get());
        }
        sum_ += graph.stranger != nullptr ? graph.stranger->number & 0xff : 0;
        look_all(graph.items);
        look_all(graph.list);
        look_all(graph.deque);
        look_all(graph.set);
        for (const Key& key : graph.keys) {
            look_all(key.items);
        }
        for (const auto& [number, item] : graph.map) {
            look(&item);
        }
        look(graph.maybe ? &*graph.maybe : nullptr);
        look(std::get_if<Item>(&graph.either));
        if (graph.behind != nullptr) {
            look_all(*graph.behind);
        }
        look(graph.alone.get());
        for (const Item* item : graph.named) {
            look(item);
        }
        look(graph.weak.lock().get());
        look(graph.shared.get());
        return sum_;
    }

private:
    template <class Items>
    void look_all(const Items& items) {
        for (const Item& item : items) {
            look(&item);
        }
    }

    void look(const Item* item) {
        for (int steps = 0; item != nullptr && steps < 100; ++steps) {
            sum_ += item->number & 0xff;
            item = item->other;
        }
    }

    void look(const Part* part) {
        if (part == nullptr || !seen_.insert(part).second) {
            return;
        }
        sum_ += part->sum() & 0xff;
        if (const auto* branch = dynamic_cast<const Branch*>(part)) {
            for (const auto& below : branch->parts) {
                look(below.get());
            }
            look(branch->own.get());
            look(branch->named);
        }
    }

    std::int64_t sum_ = 0;
    std::set<const Part*> seen_;
};

}  // namespace sample

BOOST_SERIALIZATION_ASSUME_ABSTRACT(sample::Part)
BOOST_CLASS_EXPORT(sample::Leaf)
BOOST_CLASS_EXPORT(sample::Branch)
BOOST_CLASS_EXPORT(sample::Stranger)

template <>
inline constexpr bool mp::is_archivable<sample::Item*> = true;
template <>
inline constexpr bool mp::is_archivable<sample::Part*> = true;
