use futures_util::FutureExt as _;

use json_rpc::Raw;

use super::*;

const A: Hearer = Hearer::Session(1);
const B: Hearer = Hearer::Stream(1);

fn resource(uri: &str) -> Topic {
    Topic::Resource(uri.into())
}

#[test]
fn a_resource_is_followed_while_somebody_wants_it() {
    let wishes = Wishes::default();
    wishes.add(resource("u"), A, "here".into());
    wishes.add(resource("u"), B, "there".into());
    wishes.add(resource("u"), B, "there".into());

    wishes.remove(&resource("u"), A);

    let source = wishes.source(Place(0));
    assert_eq!(source.wanted(), BTreeSet::from([resource("u")]));
    assert_eq!(wishes.hearers(&resource("u")), [(B, Name::Own("there".into()))]);
    wishes.remove(&resource("u"), B);
    assert!(source.wanted().is_empty());
}

#[test]
fn a_refusal_is_told_and_can_be_tried_again() {
    let wishes = Wishes::default();
    wishes.add(resource("u"), A, "u".into());
    let topic = resource("u");
    let mut settled = std::pin::pin!(wishes.settled(&topic));
    assert!(settled.as_mut().now_or_never().is_none());

    let source = wishes.source(Place(0));
    source.settle(&topic, Err(Fault::Theirs(Raw::text("no"))));

    assert_eq!(settled.now_or_never(), Some(Err(Fault::Theirs(Raw::text("no")))));
    assert!(source.wanted().is_empty());
    wishes.add(resource("u"), B, "u".into());
    assert_eq!(source.wanted().len(), 1);
}

#[test]
fn a_refusal_of_all_that_was_asked_for_leaves_what_was_agreed_before() {
    let (wishes, held, new) = (Wishes::default(), resource("u"), resource("v"));
    let source = wishes.source(Place(0));
    wishes.add(held.clone(), A, "u".into());
    source.settle(&held, Ok(()));
    wishes.add(new.clone(), B, "v".into());

    let error = Fault::Theirs(Raw::text("too many"));
    let refused = [&held, &new].map(|topic| source.refuse(topic, &error));

    assert_eq!(refused, [false, true]);
    assert_eq!(wishes.settled(&held).now_or_never(), Some(Ok(())));
    assert_eq!(wishes.settled(&new).now_or_never(), Some(Err(error)));
    assert_eq!(source.wanted(), BTreeSet::from([held]));
}

#[test]
fn a_resource_is_refused_once_every_replica_has_refused_it() {
    let (wishes, topic) = (Wishes::default(), resource("u"));
    let (first, second) = (wishes.source(Place(0)), wishes.source(Place(1)));
    wishes.add(topic.clone(), A, "u".into());

    first.settle(&topic, Err(Fault::Theirs(Raw::text("no"))));
    assert_eq!(wishes.settled(&topic).now_or_never(), None, "the other one may know it");
    assert_eq!((first.wanted().len(), second.wanted().len()), (0, 1));
    second.settle(&topic, Ok(()));
    assert_eq!(wishes.settled(&topic).now_or_never(), Some(Ok(())));
    second.settle(&topic, Err(Fault::Theirs(Raw::text("no"))));

    assert_eq!(wishes.settled(&topic).now_or_never(), Some(Err(Fault::Theirs(Raw::text("no")))));
}

#[test]
fn a_task_is_followed_where_it_is_and_nowhere_else() {
    let (wishes, topic) = (Wishes::default(), Topic::Task(Place(1), "1".into()));
    let (first, second) = (wishes.source(Place(0)), wishes.source(Place(1)));

    wishes.add(topic.clone(), B, "sealed".into());

    assert!(first.wanted().is_empty() && !wishes.is_followed(Place(0)));
    assert!(second.wanted().contains(&topic) && wishes.is_followed(Place(1)));
    assert!(wishes.hearers(&Topic::Task(Place(0), "1".into())).is_empty());
    second.settle(&topic, Err(Fault::Theirs(Raw::text("no"))));
    assert_eq!(wishes.settled(&topic).now_or_never(), Some(Err(Fault::Theirs(Raw::text("no")))));
}

#[test]
fn what_was_agreed_on_a_connection_ends_with_it() {
    let (wishes, topic) = (Wishes::default(), resource("u"));
    let source = wishes.source(Place(0));
    wishes.add(topic.clone(), A, "u".into());
    source.settle(&topic, Ok(()));

    drop(source);

    assert_eq!(wishes.settled(&topic).now_or_never(), None);
    wishes.source(Place(0)).settle(&topic, Err(Fault::Theirs(Raw::text("no"))));
    let source = wishes.source(Place(0));
    source.settle(&topic, Err(Fault::Theirs(Raw::text("not any more"))));
    assert_eq!(wishes.settled(&topic).now_or_never(), Some(Err(Fault::Theirs(Raw::text("not any more")))));
}

#[test]
fn who_follows_a_folder_hears_of_what_is_in_it() {
    let wishes = Wishes::default();
    wishes.add(resource("file:///a"), A, "file:///a".into());
    wishes.add(resource("file:///b/"), A, "file:///b/".into());
    wishes.add(resource("file:///b/"), B, "file:///b/".into());

    assert_eq!(wishes.hearers(&resource("file:///a/x")), [(A, Name::PartOf("file:///a".into()))]);
    let told = wishes.hearers(&resource("file:///b/x/y"));
    assert_eq!(told, [(A, Name::PartOf("file:///b/".into()))]);
    assert!(wishes.hearers(&resource("file:///ab")).is_empty());
}

#[test]
fn who_follows_a_folder_hears_of_what_is_in_it_also_when_others_follow_just_that() {
    let (other, wishes) = (Hearer::Session(7), Wishes::default());
    wishes.add(resource("file:///a/"), A, "file:///a/".into());
    wishes.add(resource("file:///a/x"), A, "file:///a/x".into());
    wishes.add(resource("file:///a/"), other, "file:///a/".into());

    let told = wishes.hearers(&resource("file:///a/x"));

    assert_eq!(told, [(A, Name::Own("file:///a/x".into())), (other, Name::PartOf("file:///a/".into()))]);
}

#[test]
fn a_level_holds_once_every_connection_was_told() {
    let wishes = Wishes::default();
    assert!(wishes.level_told(Level::Debug).now_or_never().is_some());
    let (first, second) = (wishes.connected(), wishes.connected());
    let mut told = std::pin::pin!(wishes.level_told(Level::Info));

    wishes.told(first, Level::Debug);
    wishes.told(second, Level::Error);
    assert!(told.as_mut().now_or_never().is_none());
    wishes.disconnected(second);

    assert!(told.now_or_never().is_some());
}
