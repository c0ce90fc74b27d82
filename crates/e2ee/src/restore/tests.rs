use myelin_store::schema::e2ee::{FallbackKey, OneTimeKey, OneTimeKeyCount};

use crate::testing::{World, fallback_key, one_time_keys};

#[tokio::test]
async fn after_a_restore_no_key_is_handed_out_a_second_time() {
    let world = World::new(1);
    let mut devices = Vec::new();
    for n in 0..30 {
        let device = world.device(&format!("user{n}"), "D").await;
        let ids: Vec<String> = (0..10).map(|n| format!("k{n}")).collect();
        world.upload_one_time_keys(&device, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
        devices.push(device);
    }
    world.e2ee.upload_keys(&devices[0], &fallback_key("f")).await.unwrap();
    assert_eq!(world.e2ee.forget_one_time_keys().await.unwrap(), 300);
    assert!(world.all::<OneTimeKey>().await.is_empty());
    assert!(world.all::<OneTimeKeyCount>().await.iter().all(|row| row.unclaimed == 0));
    assert!(world.all::<FallbackKey>().await.iter().all(|row| row.used));
    assert_eq!(world.claim(&devices[1]).await, None);
    // A client that repeats an old upload brings none of them back; a new key counts.
    let counts = world.e2ee.upload_keys(&devices[1], &one_time_keys(&["k1", "new"])).await.unwrap();
    assert_eq!(counts["signed_curve25519"], 1);
    assert_eq!(world.claim(&devices[1]).await.unwrap().id, "signed_curve25519:new");
    assert_eq!(world.e2ee.forget_one_time_keys().await.unwrap(), 0, "repeating it finds nothing");
}
